/*
 * "starttls": the protocols by which clients, or we, ask for TLS; the words are those of the
 * registry.
 */
#ifndef GATEHOUSE_CONFIG_CONFIG_STARTTLS_H
#define GATEHOUSE_CONFIG_CONFIG_STARTTLS_H

#include "config/read/fields.h"
#include "preface/preface.h"

field_get starttls_field;      /* const struct preface * */
field_get starttls_list_field; /* const struct preface **: a word or a list; ends in NULL */

#endif
