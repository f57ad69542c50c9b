# Cloister: GNU make.  Objects in build/; one static library for each folder,
# one program for each main_NAME.c in it.
#
#   make              all programs
#   make deps         install the Debian packages that building and tests need
#   make demo         a whole service with a throw-away state, and a real chat
#   make check        every test
#   make check-long   with every end-to-end test on the sanitized build too
#   make check-debian13  the same for the committed tree in a Debian 13
#   make check-cross  this build and one of a Debian 13 with each other
#   make prove        the symbolic models by ProVerif, if it is there
#   make attacks      the numbered list of attacks alone, with its results
#   make deb          the packages cloister-server and cloister
#   make check-systemd   what they do under systemd (DEBIAN=bookworm or trixie)
#   make fuzz         every fuzzer, FUZZ_TIME seconds each
#   make bench        what things cost, in numbers
#   make bench-history   ... of a long history
#   make mutants      does some test fail without this check? (an hour)
#   make classify     what answers' sizes and times tell, for each shaping
#   make install      DESTDIR and PREFIX as usual

PREFIX	?= /usr/local
BINDIR	 = $(PREFIX)/bin
SBINDIR	 = $(PREFIX)/sbin
LIBEXECDIR = $(PREFIX)/libexec/cloister
SYSCONFDIR ?= /etc/cloister
DATADIR	 = $(PREFIX)/share
MANDIR	 = $(DATADIR)/man
ZSH_DIR	?= site-functions

B	?= build
CC	?= cc
PKG_CONFIG ?= pkg-config
PKGS	 = libcrypto libseccomp libbsd-overlay jansson libconfuse

# SANITIZE=1 builds with ASan and UBSan (into $(B), so give it its own B).
ifdef SANITIZE
HARDEN	 = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	   -fno-omit-frame-pointer
LDHARDEN = -fsanitize=address,undefined
else
HARDEN	 = -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	   -fstack-clash-protection -fzero-call-used-regs=used \
	   -ftrivial-auto-var-init=zero
LDHARDEN =
endif
# DEBUG=1: a filter of seccomp names in the log what it catches (its own B, too).
ifdef DEBUG
HARDEN	+= -DSECCOMP_DEBUG
endif
WARN	 = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	   -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla \
	   -Wconversion -Wundef -Wformat=2 -Wold-style-definition
CFLAGS	?= -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(HARDEN) $(WARN) -fPIE -Icommon \
	   -D_GNU_SOURCE -DLIBEXECDIR='"$(LIBEXECDIR)"' \
	   -DSYSCONFDIR='"$(SYSCONFDIR)"' -DSBINDIR='"$(SBINDIR)"' \
	   $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(LDHARDEN) -pie -Wl,-z,relro,-z,now,-z,noexecstack
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
LIBS	:= $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)

DIRS	 = common keyd certd sessiond storaged llmproxy monitor ctl client
SRCS	 = $(foreach d,$(DIRS),$(wildcard $(d)/*.c))
MAINS	 = $(filter $(addsuffix /main_%,$(DIRS)),$(SRCS))
PROGS	 = $(foreach m,$(MAINS),$(B)/$(patsubst main_%.c,%,$(notdir $(m))))
LIBOBJ	 = $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(MAINS),$(filter $(1)/%,$(SRCS))))

# V=1 shows the commands.
ifdef V
Q	 =
SAY	 = @:
else
Q	 = @
SAY	 = @echo
endif

all: $(PROGS) completions

.SECONDEXPANSION:
$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(foreach d,$(DIRS),$(B)/lib$(d).a): $(B)/lib%.a: $$(call LIBOBJ,%)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# What a folder's programs link besides LIBS.
LIBS_storaged = -ldb-5.3 -largon2
LIBS_llmproxy := $(shell $(PKG_CONFIG) --libs libcurl libssl 2>/dev/null)
LIBS_client   := $(shell $(PKG_CONFIG) --libs libedit libmicrohttpd 2>/dev/null)

# Whose library it links besides its own and common's.
USES_ctl = monitor
$(B)/obj/ctl/%.o: ALL_CFLAGS += -Imonitor

define PROG
$(B)/$(patsubst main_%.c,%,$(notdir $(1))): $(1:%.c=$(B)/obj/%.o) \
    $(sort $(B)/lib$(patsubst %/,%,$(dir $(1))).a $(B)/libcommon.a \
    $(USES_$(patsubst %/,%,$(dir $(1))):%=$(B)/lib%.a))
	$$(SAY) LD $$@
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $(1:%.c=$(B)/obj/%.o) \
	    $(B)/lib$(patsubst %/,%,$(dir $(1))).a \
	    $(USES_$(patsubst %/,%,$(dir $(1))):%=$(B)/lib%.a) $(B)/libcommon.a \
	    $$(LIBS_$(patsubst %/,%,$(dir $(1)))) $$(LIBS)
endef
$(foreach m,$(MAINS),$(eval $(call PROG,$(m))))

# Unit tests: tests/test_X.c, each its own program.
UNIT	 = $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
$(UNIT): $(B)/tests/%: $(B)/obj/tests/%.o $(foreach d,$(DIRS),$(B)/lib$(d).a)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group \
	    $(foreach d,$(DIRS),$(B)/lib$(d).a) -Wl,--end-group \
	    $(LIBS_storaged) $(LIBS_llmproxy) $(LIBS_client) $(LIBS) -lcmocka
# All that is signed is looked at.
$(B)/tests/test_keyd_signs: ALL_LDFLAGS += -Wl,--wrap=rsa_pss_sign
# These drive real programs.
$(B)/tests/test_llmproxy: $(B)/llmproxy $(B)/connector $(B)/standin
unit: $(UNIT)

# Fuzzers: tests/fuzz/fuzz_X.c, each its own program, built by clang with all
# that they reach.
CLANG	?= clang
FUZZ_TIME ?= 60
FUZZ	 = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZOBJ	 = $(patsubst %.c,$(B)/fuzz/obj/%.o,$(filter-out $(MAINS),$(SRCS)))
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer -Wall \
	   -fsanitize=fuzzer-no-link,address,undefined \
	   -fno-sanitize-recover=all $(DIRS:%=-I%) -Itests \
	   $(filter -D%,$(ALL_CFLAGS)) $(PKG_CFLAGS)
$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CLANG $<
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/libcloister.a: $(FUZZOBJ)
	@rm -f $@
	$(Q)$(AR) qcs $@ $^
# The session worker's loop is driven from inside; the client has a terminal.
$(B)/fuzz/fuzz_session: FUZZ_LDFLAGS = -Wl,--wrap=loop_new
$(B)/fuzz/fuzz_client: FUZZ_LDFLAGS = -Wl,--wrap=isatty,--wrap=write,--wrap=conn_open
$(FUZZ): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(B)/fuzz/libcloister.a
	$(SAY) LD $@
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined \
	    -Wl,--wrap=_exit $(FUZZ_LDFLAGS) -o $@ \
	    $^ $(LIBS_storaged) $(LIBS_llmproxy) $(LIBS_client) $(LIBS) -lcmocka
fuzzers: $(FUZZ)

# Helpers of the end-to-end tests.
STANDIN	 = $(B)/obj/regress/standin.o $(B)/obj/regress/standin_answer.o \
	   $(B)/obj/regress/standin_wire.o
$(B)/standin: $(STANDIN) $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(STANDIN) $(B)/libcommon.a \
	    $(shell $(PKG_CONFIG) --libs libssl) $(LIBS) -pthread
$(B)/trap $(B)/live: $(B)/%: $(B)/obj/regress/%.o $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(B)/freeport: $(B)/obj/regress/freeport.o
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIBS)
$(B)/secrets $(B)/carve $(B)/fill: $(B)/obj/regress/vaultkeys.o
$(B)/memscan $(B)/secrets $(B)/carve $(B)/fill $(B)/flood $(B)/tamper $(B)/powerloss: $(B)/%: $(B)/obj/regress/%.o \
    $(B)/libstoraged.a $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(LIBS_storaged) $(LIBS)
$(B)/obj/regress/%.o: ALL_CFLAGS += -Istoraged -Iclient
$(B)/obj/tests/%.o: ALL_CFLAGS += $(DIRS:%=-I%)
$(B)/peer: $(B)/obj/regress/peer.o $(B)/libclient.a $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $(PEER_WRAPS:%=-Wl,--wrap=%) -o $@ $^ \
	    $(LIBS_client) $(LIBS)
$(B)/ticket: $(B)/obj/regress/ticket.o $(B)/libclient.a $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_client) $(LIBS)
PEER_WRAPS = EVP_PKEY_derive hs_client_make_ca keyd_unwrap hs_session

# Hostile processes: a role's own program with some functions replaced.
HOSTILE	 = $(patsubst %.c,$(B)/obj/%.o,$(wildcard regress/hostile/*.c))
HOSTILE_ROLES = logger keyd engine hasher storaged certd connector llmproxy \
	   zygote sessiond
$(HOSTILE): ALL_CFLAGS += $(DIRS:%=-I%)
WRAP_logger = main_logger monitor
WRAP_keyd = main_keyd keyd
WRAP_engine = main_engine storaged
WRAP_hasher = main_hasher storaged
WRAP_storaged = main_storaged storaged
WRAP_certd = main_certd certd
WRAP_connector = main_connector llmproxy
WRAP_llmproxy = main_llmproxy llmproxy
WRAP_zygote = main_zygote sessiond
WRAP_sessiond = main_sessiond sessiond
HOSTILE_COMMON = $(B)/obj/regress/hostile/attack.o \
	   $(B)/obj/regress/hostile/board.o
HOSTILE_ROLE = $(HOSTILE_COMMON) $(B)/obj/regress/hostile/hostile.o
HOSTILE_WORKERS = $(B)/obj/regress/hostile/workers.o \
	   $(B)/obj/regress/hostile/special.o
define HOSTILE_PROG
$(B)/hostile/$(1): $(B)/obj/$(word 2,$(WRAP_$(1)))/$(word 1,$(WRAP_$(1))).o \
    $(HOSTILE_ROLE) $(if $(filter zygote,$(1)),$(HOSTILE_WORKERS)) \
    $(if $(filter logger,$(1)),$(B)/obj/regress/hostile/forger.o) \
    $(B)/lib$(word 2,$(WRAP_$(1))).a $(B)/libcommon.a
	@mkdir -p $$(@D)
	$$(SAY) LD $$@
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -Wl,--wrap=role_start -Wl,--wrap=chan_send \
	    $(if $(filter zygote,$(1)),-Wl$(COMMA)--wrap=kex_run \
	    -Wl$(COMMA)--wrap=session_run) \
	    $(if $(filter logger,$(1)),-Wl$(COMMA)--wrap=audit_append) -o $$@ $$^ \
	    $$(LIBS_$(word 2,$(WRAP_$(1)))) $$(LIBS)
endef
COMMA	 = ,
$(foreach r,$(HOSTILE_ROLES),$(eval $(call HOSTILE_PROG,$(r))))
$(B)/hostile/driver: $(B)/obj/regress/hostile/driver.o $(HOSTILE_COMMON) \
    $(B)/libclient.a $(B)/libmonitor.a $(B)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_client) $(LIBS)
$(B)/hostile/cells: $(B)/obj/regress/hostile/cells.o \
    $(B)/obj/regress/hostile/rig.o $(HOSTILE_COMMON) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(B)/hostile/puppet: $(B)/obj/regress/hostile/puppet.o $(HOSTILE_COMMON) \
    $(B)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
hostile: $(HOSTILE_ROLES:%=$(B)/hostile/%) $(B)/hostile/driver \
    $(B)/hostile/cells $(B)/hostile/puppet
$(B)/relay $(B)/classify: $(B)/%: $(B)/obj/regress/%.o $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lm
# Roles whose clock is a day behind.
PAST	 = $(B)/past/storaged $(B)/past/logger $(B)/past/keyd
$(B)/past/storaged: $(B)/obj/storaged/main_storaged.o $(B)/libstoraged.a
$(B)/past/logger: $(B)/obj/monitor/main_logger.o $(B)/libmonitor.a
$(B)/past/keyd: $(B)/obj/keyd/main_keyd.o $(B)/libkeyd.a
$(PAST): $(B)/obj/regress/past.o $(B)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=wall_us -o $@ $(filter %.o,$^) \
	    $(filter-out %libcommon.a,$(filter %.a,$^)) $(B)/libcommon.a \
	    $(LIBS_storaged) $(LIBS)
# What regress/attacks.tbl has.
ATTACK	 = $(patsubst %.c,$(B)/obj/%.o,$(wildcard regress/attack/*.c))
$(ATTACK): ALL_CFLAGS += $(DIRS:%=-I%)
$(B)/attack: $(ATTACK) $(B)/libclient.a $(B)/libkeyd.a $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_client) $(LIBS)
helpers: $(PAST) $(B)/attack $(B)/peer $(B)/ticket $(B)/standin $(B)/freeport $(B)/memscan $(B)/secrets \
    $(B)/carve $(B)/fill $(B)/flood $(B)/tamper $(B)/powerloss $(B)/trap $(B)/live $(B)/relay $(B)/classify hostile

# What measures.
BENCH	 = $(patsubst %.c,$(B)/obj/%.o,$(wildcard regress/bench*.c))
$(B)/bench: $(BENCH) $(B)/libclient.a $(B)/libstoraged.a $(B)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_client) $(LIBS_storaged) \
	    $(LIBS) $(shell $(PKG_CONFIG) --libs libssl) -lm
benchmarks: $(B)/bench

deps:
	@sh regress/deps.sh

# What needs packages that may not be there yet is a second make.
demo: deps
	@$(MAKE) -s all helpers
	@B=$(B) sh regress/demo.sh

check: deps
	@sh regress/deps.sh debhelper build-essential lintian mmdebstrap \
	    systemd-container iproute2
	@$(MAKE) -s all unit helpers
	@$(MAKE) -s all unit helpers B=$(B)/sanitized SANITIZE=1
	@$(MAKE) -s fuzzers
	@sh regress/check.sh $(B) $(B)/sanitized

check-long:
	@LONG=1 $(MAKE) -s check

attacks: deps
	@$(MAKE) -s all unit helpers
	@sh regress/attacks_only.sh $(B)

prove:
	@sh docs/formal/prove.sh

# The Debian packages, into $(B)/deb.
deb:
	@sh regress/deps.sh debhelper build-essential lintian
	@sh dist/deb.sh $(B)/deb

# They are installed, used and removed under a systemd of their own.
check-systemd:
	@sh regress/deps.sh debhelper build-essential lintian mmdebstrap \
	    systemd-container iproute2 bubblewrap
	@$(MAKE) -s all helpers
	@B=$(B) sh regress/systemd.sh $(DEBIAN)

# This build and a Debian 13 one with each other.
check-cross: deps
	@sh regress/deps.sh mmdebstrap bubblewrap
	@B=$(B) sh regress/cross13.sh $(B)/debian13

check-debian13:
	@sh regress/deps.sh mmdebstrap bubblewrap
	@sh regress/debian13.sh $(B)/debian13
	@$(MAKE) -s check-systemd DEBIAN=trixie

fuzz: deps
	@$(MAKE) -s fuzzers
	@B=$(B) FUZZ_TIME=$(FUZZ_TIME) sh regress/fuzz.sh

bench: deps
	@sh regress/deps.sh sqlite3 sqlcipher
	@$(MAKE) -s all helpers benchmarks
	@B=$(B) sh regress/bench.sh

# Of a long history: see the script for CONVERSATIONS and MESSAGES.
bench-history: deps
	@$(MAKE) -s all helpers
	@B=$(B) sh regress/bench_history.sh

# See the script for FILES, SHARD, MUTANTS and JOBS.
mutants: deps
	@B=$(B) FILES="$(FILES)" SHARD=$(or $(SHARD),1/1) MUTANTS=$(MUTANTS) \
	    sh regress/mutants.sh
classify: deps
	@$(MAKE) -s all helpers
	@B=$(B) sh regress/classify.sh

# Completion for the shells, from what the programs say of themselves.
SHELLS	 = bash zsh fish
COMPLETIONS = $(foreach s,$(SHELLS),$(B)/completion/cloister.$(s) \
	   $(B)/completion/cloisterctl.$(s))
$(COMPLETIONS): $(B)/completion/%: dist/completion.sh $$(B)/$$(basename $$*)
	@mkdir -p $(@D)
	$(Q)sh dist/completion.sh $(subst .,,$(suffix $@)) \
	    $(B)/$(basename $(@F)) >$@.new && mv $@.new $@
completions: $(COMPLETIONS)

ROLES	 = logger keyd engine hasher storaged certd connector llmproxy zygote \
	   sessiond
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) \
	    $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SYSCONFDIR)
	install -m 755 $(B)/cloister $(DESTDIR)$(BINDIR)
	install -m 755 $(B)/cloisterd $(B)/cloisterctl $(DESTDIR)$(SBINDIR)
	install -m 755 $(ROLES:%=$(B)/%) $(DESTDIR)$(LIBEXECDIR)
	install -m 644 dist/cloisterd.conf.sample $(DESTDIR)$(SYSCONFDIR)
	for p in cloister cloisterctl; do \
		install -D -m 644 $(B)/completion/$$p.bash \
		    $(DESTDIR)$(DATADIR)/bash-completion/completions/$$p && \
		install -D -m 644 $(B)/completion/$$p.zsh \
		    $(DESTDIR)$(DATADIR)/zsh/$(ZSH_DIR)/_$$p && \
		install -D -m 644 $(B)/completion/$$p.fish \
		    $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/$$p.fish || \
		    exit; \
	done
	for s in 1 5 8; do \
		install -d $(DESTDIR)$(MANDIR)/man$$s && \
		install -m 644 docs/man/*.$$s $(DESTDIR)$(MANDIR)/man$$s || exit; \
	done

clean:
	rm -rf $(B)

.PHONY: deb check-systemd all unit helpers hostile benchmarks fuzzers completions deps demo attacks prove check check-cross check-long check-debian13 fuzz bench bench-history classify mutants install clean
-include $(shell find $(B) \( -path $(B)/debian13 -o -path $(B)/systemd -o \
    -path $(B)/deb \) -prune -o -name '*.d' -type f \
    -print 2>/dev/null)
