/* clang-format off
 * The registry of prefaces, a line each: src/preface/NAME.c defines `const struct preface NAME_preface`.
 * Included by src/preface/registry.c alone, which says what PREFACE is. The PROXY header stays the first.
 */
PREFACE(proxy)
PREFACE(imap)
PREFACE(ldap)
PREFACE(mysql)
PREFACE(pop3)
PREFACE(postgres)
PREFACE(smtp)
PREFACE(xmpp)
