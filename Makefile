# gatehouse: `make` builds build/gatehouse; `make help` lists the rest.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BUILD      ?= build
CC         ?= cc

VERSION := $(shell sed -n 's/^\#define GATEHOUSE_VERSION "\(.*\)"/\1/p' include/app/version.h)

# A sanitizer build lives beside the plain one: make SANITIZE=address,undefined BUILD=build/asan
SANITIZE ?=
ifeq ($(SANITIZE),)
OPTIMIZE  ?= -O2 -g
HARDENING ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
HARDENLD  ?= -Wl,-z,relro,-z,now,-z,noexecstack
else
OPTIMIZE  ?= -O1 -g -fno-omit-frame-pointer
HARDENING ?= -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
HARDENLD  ?= -fsanitize=$(SANITIZE)
endif

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wpointer-arith -Wformat=2 -Wundef -Wswitch-enum
# libev's public macros alias watcher types; the whole tree is built without strict aliasing.
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE $(OPTIMIZE) $(WARNINGS) -fPIE -fno-strict-aliasing -pthread \
              -fvisibility=hidden $(HARDENING) -Iinclude $(CFLAGS)
ALL_LDFLAGS := -pie -pthread $(HARDENLD) $(LDFLAGS)
LIBS := -lssl -lcrypto -lev -lcjson -lcares -lmicrohttpd

SOURCES := $(wildcard src/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libgatehouse.a
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
TOOLS   := $(patsubst tests/e2e/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/e2e/tools/*.c))

# V=1 shows the commands.
ifeq ($(V),)
Q := @
say = @echo "  $(1) $@"
endif

all: $(BUILD)/gatehouse

$(BUILD)/gatehouse: $(BUILD)/src/main.o $(LIBRARY)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIBRARY) -lcmocka $(LIBS)

$(BUILD)/tools/%: tests/e2e/tools/%.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< -lssl -lcrypto

-include $(OBJECTS:.o=.d) $(BUILD)/src/main.d $(UNITS:=.d)

units: $(UNITS)
tools: $(TOOLS)

clean:
	rm -rf build

.PHONY: all units tools clean
.DELETE_ON_ERROR:
