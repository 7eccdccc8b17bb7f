# gatehouse: `make` builds build/gatehouse; `make help` lists the rest.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BUILD      ?= build
CC         ?= cc

VERSION := $(shell sed -n 's/^\#define GATEHOUSE_VERSION "\(.*\)"/\1/p' include/base/version.h)

# A sanitizer build lives beside the plain one: make SANITIZE=address,undefined BUILD=build/asan
SANITIZE ?=
ifeq ($(SANITIZE),)
OPTIMIZE  ?= -O2 -g
HARDENING ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
HARDENLD  ?= -Wl,-z,relro,-z,now,-z,noexecstack
else
OPTIMIZE  ?= -O1 -g -fno-omit-frame-pointer
# gcc's warnings are less sure of themselves in such builds.
HARDENING ?= -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -Wno-error
HARDENLD  ?= -fsanitize=$(SANITIZE)
endif

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wpointer-arith -Wformat=2 -Wundef -Wswitch-enum
# libev's public macros alias watcher types; the whole tree is built without strict aliasing.
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE $(OPTIMIZE) $(WARNINGS) -fPIE -fno-strict-aliasing -pthread \
              -fvisibility=hidden $(HARDENING) -Iinclude $(CFLAGS)
ALL_LDFLAGS := -pie -pthread $(HARDENLD) $(LDFLAGS)
LIBS := -lssl -lcrypto -lev -lcjson -lcares -lmicrohttpd -lseccomp

SOURCES := $(filter-out src/cli/main.c,$(wildcard src/*/*.c src/*/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libgatehouse.a
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
TOOLS   := $(patsubst tests/e2e/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/e2e/tools/*.c)) \
           $(BUILD)/tools/clockstep.so $(BUILD)/tools/nomem.so
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

# V=1 shows the commands.
ifeq ($(V),)
Q := @
say = @echo "  $(1) $@"
endif

all: $(BUILD)/gatehouse

$(BUILD)/gatehouse: $(BUILD)/src/cli/main.o $(LIBRARY)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

# The status page is taken in by the assembler.
$(BUILD)/src/admin/status.o: src/admin/status.html

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIBRARY) -lcmocka $(LIBS)

$(BUILD)/tools/%: tests/e2e/tools/%.c tests/e2e/tools/tool.h
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< -lssl -lcrypto

$(BUILD)/tools/%.so: tests/e2e/tools/%.c tests/e2e/tools/tool.h
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -shared $(LDFLAGS) -o $@ $<

# clang's libFuzzer: make fuzzers CC=clang SANITIZE=fuzzer-no-link,address,undefined BUILD=build/fuzz
$(BUILD)/fuzz/%: tests/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< $(LIBRARY) $(LIBS)

-include $(OBJECTS:.o=.d) $(BUILD)/src/cli/main.d $(UNITS:=.d) $(FUZZERS:=.d)

units: $(UNITS)
tools: $(TOOLS)
fuzzers: $(FUZZERS)

# Both install what they need with apt-get where it is missing, and say so. `make check` takes some
# minutes; tests/run-check and its neighbours tell what it does, and run parts of it.
CHECK := BUILD=$(BUILD) CC=$(CC) tests/run-check

check:
	@$(CHECK)

check-quick:
	@$(CHECK) needs build format layers units e2e

# T=NAME: one test of any kind.
test:
	@BUILD=$(BUILD) CC=$(CC) tests/run-test "$(T)"

clean:
	rm -rf build

help:
	@echo "make              builds $(BUILD)/gatehouse"
	@echo "make check        all tests: gcc, clang, sanitizers, fuzzing; .ci/run does just this"
	@echo "make check-quick  the unit and end-to-end tests alone"
	@echo "make test T=NAME  one test: a unit test (relay), an end-to-end test (47, timeouts), a fuzz target"
	@echo "                  (fuzz_config), or a stage of make check, which are:"
	@echo "                  $$(tests/run-check --list)"
	@echo "make units        builds the unit tests, $(BUILD)/unit/test_NAME"
	@echo "make tools        builds the programs that the end-to-end tests use, $(BUILD)/tools/NAME"
	@echo "make fuzzers      builds the fuzz targets; with CC=clang SANITIZE=fuzzer-no-link,address,undefined"
	@echo "make clean        removes build/"
	@echo "make help         this list"
	@sed -n 's/^#help //p' $(filter %.mk,$(MAKEFILE_LIST)) /dev/null
	@echo "Variables: BUILD CC CFLAGS LDFLAGS PREFIX DESTDIR SANITIZE=address,undefined V=1"
	@echo "Of the tests: T JOBS FUZZ_SECONDS"

.PHONY: all units tools fuzzers check check-quick test clean help
.DELETE_ON_ERROR:

-include conf/install.mk tests/bench/bench.mk
