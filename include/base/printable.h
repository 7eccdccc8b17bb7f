/*
 * Text for a terminal. Much of it comes from others: server names, names in certificates, what a
 * server answered. Control characters, and those that change the direction of text, are written as
 * escapes: \x1b for a byte below 0x20 and for a byte that is not UTF-8, \u009b and \u202e for a
 * character.
 */
#ifndef GATEHOUSE_BASE_PRINTABLE_H
#define GATEHOUSE_BASE_PRINTABLE_H

#include <stdio.h>

/* Newlines stay. */
void print_escaped(FILE *file, const char *text);

/* How many characters print_escaped writes. */
int escaped_width(const char *text);

/* "program: text" and a newline, to standard error. `program` is ours and stands as it is. */
void print_diagnostic(const char *program, const char *text);

#endif
