/* The one place that names the version. */
#ifndef GATEHOUSE_APP_VERSION_H
#define GATEHOUSE_APP_VERSION_H

#define GATEHOUSE_VERSION "0.1.0"

#endif
