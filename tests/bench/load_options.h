/* The command line of the load client. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "flow.h"

struct load_options {
	uint16_t port;
	uint32_t connections, flows, names;
	double rate; /* new connections a second; 0: as fast as flows allow */
	struct command command;
	enum park park;
	uint32_t gap_us;
	const char *first; /* of command.h, in place of a hello; NULL: a hello */
	bool is_tls;
	struct client_tls_settings tls;
	const char *name_pattern;
};

/* Exits with 2 and the usage on anything that it does not know. */
struct load_options load_options_parse(int argc, char **argv);

#endif
