# The measurement: included by the Makefile. `make bench`, `make bench QUICK=1`; tests/bench/README.md.
#help make bench        what gatehouse costs beside other proxies; QUICK=1 takes two minutes
#help make bench-programs  builds what make bench and make gate run
#help make gate         compares the costs of the main paths with gate.json; GATE_FLAGS=--update records new ones

BENCH_OUT      := $(BUILD)/bench
BENCH_PROGRAMS := $(addprefix $(BENCH_OUT)/,load backend floor floor_tls handshake makecerts)
BENCH_OBJECTS  := $(patsubst tests/bench/%.c,$(BENCH_OUT)/%.o,$(wildcard tests/bench/*.c))

$(BENCH_OUT)/%.o: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH_OUT)/load: $(addprefix $(BENCH_OUT)/,load.o load_options.o flow.o client_tls.o hello.o names.o tally.o pattern.o sockets.o)
$(BENCH_OUT)/backend: $(addprefix $(BENCH_OUT)/,backend.o pattern.o sockets.o)
$(BENCH_OUT)/floor: $(addprefix $(BENCH_OUT)/,floor.o sockets.o)
$(BENCH_OUT)/floor_tls: $(addprefix $(BENCH_OUT)/,floor_tls.o sockets.o)
$(BENCH_OUT)/handshake: $(addprefix $(BENCH_OUT)/,handshake.o client_tls.o names.o sockets.o)
$(BENCH_OUT)/makecerts: $(BENCH_OUT)/makecerts.o

$(BENCH_PROGRAMS):
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lssl -lcrypto

-include $(BENCH_OBJECTS:.o=.d)

bench-programs: $(BENCH_PROGRAMS)

bench: $(BUILD)/gatehouse $(BENCH_PROGRAMS)
	tests/bench/run --build $(BUILD) $(if $(QUICK),--quick) $(BENCH_FLAGS)

# Counts of the main paths beside tests/bench/gate.json: a minute, and the same on a busy machine.
gate: $(BUILD)/gatehouse $(BENCH_PROGRAMS)
	tests/bench/gate --build $(BUILD) $(GATE_FLAGS)

.PHONY: bench bench-programs gate
