/* The one place that names the version. */
#ifndef GATEHOUSE_BASE_VERSION_H
#define GATEHOUSE_BASE_VERSION_H

#define GATEHOUSE_VERSION "0.1.0"

#endif
