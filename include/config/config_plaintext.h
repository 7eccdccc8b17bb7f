/* "plaintext" of a listener: what becomes of clients that do not speak TLS. */
#ifndef GATEHOUSE_CONFIG_CONFIG_PLAINTEXT_H
#define GATEHOUSE_CONFIG_CONFIG_PLAINTEXT_H

#include "config/config.h"
#include "config/read/fields.h"

field_get plaintext_field; /* const struct plaintext_config * */

/* A protocol whose server speaks first hears nothing that could be told apart. */
void plaintext_check(
	struct reader *reader, const struct place *place, const struct listener_config *listener);

#endif
