/* The units of the configuration: "250ms" "10s" "5m" "1h" "7d", "0"; "512" "64KiB" "1MiB". */
#ifndef GATEHOUSE_BASE_UNITS_H
#define GATEHOUSE_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole text or nothing: false leaves `out` alone. A duration other than "0" needs its unit. */
bool units_duration_ms(const char *text, uint64_t *out);
bool units_size(const char *text, uint64_t *out);

#endif
