# Installing, and the demo: included by the Makefile, which has PREFIX, SYSCONFDIR and UNITDIR.
# DESTDIR is put before all of them, for packages.

#help make install      program, man pages, unit files, an example (PREFIX, SYSCONFDIR, UNITDIR, DESTDIR)
#help make uninstall    removes them
#help make deb          a Debian package, in build/deb
#help make demo         shows the main job for real; KEEP=1 leaves it running

BINDIR      := $(PREFIX)/bin
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/gatehouse
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

# The files name /usr/bin and /etc; what is installed names where it was installed.
place = sed -e 's|/usr/bin/|$(BINDIR)/|g' -e 's|/etc/gatehouse|$(SYSCONFDIR)/gatehouse|g'
define put
	install -d '$(DESTDIR)$(2)'
	$(place) $(1) >'$(DESTDIR)$(2)/$(notdir $(1))'
	chmod 644 '$(DESTDIR)$(2)/$(notdir $(1))'

endef

install: $(BUILD)/gatehouse
	install -D -m 755 $(BUILD)/gatehouse '$(DESTDIR)$(BINDIR)/gatehouse'
	$(call put,man/gatehouse.8,$(MANDIR)/man8)
	$(call put,man/gatehouse.json.5,$(MANDIR)/man5)
	$(call put,man/gatehouse-connect.1,$(MANDIR)/man1)
	ln -sf gatehouse-connect.1 '$(DESTDIR)$(MANDIR)/man1/gatehouse-run.1'
	$(call put,man/gatehouse-client.json.5,$(MANDIR)/man5)
	$(call put,conf/gatehouse.service,$(UNITDIR))
	$(call put,conf/gatehouse.socket,$(UNITDIR))
	$(call put,conf/gatehouse.sysusers,$(SYSUSERSDIR))
	mv '$(DESTDIR)$(SYSUSERSDIR)/gatehouse.sysusers' '$(DESTDIR)$(SYSUSERSDIR)/gatehouse.conf'
	$(call put,conf/gatehouse.tmpfiles,$(TMPFILESDIR))
	mv '$(DESTDIR)$(TMPFILESDIR)/gatehouse.tmpfiles' '$(DESTDIR)$(TMPFILESDIR)/gatehouse.conf'
	install -D -m 644 -t '$(DESTDIR)$(DOCDIR)' README.md LICENSE CHANGELOG.md
	install -D -m 644 -t '$(DESTDIR)$(DOCDIR)/examples' \
		conf/config.json conf/alerts.yml conf/grafana-dashboard.json
	install -D -m 644 conf/completion/gatehouse.bash '$(DESTDIR)$(COMPLETIONDIR)/gatehouse'
	install -d '$(DESTDIR)$(SYSCONFDIR)/gatehouse'

# The configuration stays.
uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/gatehouse' \
		'$(DESTDIR)$(MANDIR)/man8/gatehouse.8' '$(DESTDIR)$(MANDIR)/man5/gatehouse.json.5' \
		'$(DESTDIR)$(MANDIR)/man1/gatehouse-connect.1' '$(DESTDIR)$(MANDIR)/man1/gatehouse-run.1' \
		'$(DESTDIR)$(MANDIR)/man5/gatehouse-client.json.5' \
		'$(DESTDIR)$(UNITDIR)/gatehouse.service' '$(DESTDIR)$(UNITDIR)/gatehouse.socket' \
		'$(DESTDIR)$(SYSUSERSDIR)/gatehouse.conf' '$(DESTDIR)$(TMPFILESDIR)/gatehouse.conf'
	rm -f '$(DESTDIR)$(COMPLETIONDIR)/gatehouse'
	rm -rf '$(DESTDIR)$(DOCDIR)'

# A tree of its own, in which debian/ is where the tools look for it.
DEB := $(BUILD)/deb
DEBTREE := $(DEB)/gatehouse-$(VERSION)

deb:
	@tests/run-needs dpkg-dev build-essential debhelper fakeroot $$(sed -n 's/^ \(lib[a-z-]*-dev\).*/\1/p' conf/debian/control)
	@grep -q '^gatehouse ($(VERSION))' conf/debian/changelog || \
		{ echo 'conf/debian/changelog: expected an entry for $(VERSION)' >&2; exit 1; }
	rm -rf '$(DEB)'
	mkdir -p '$(DEBTREE)'
	cp -a Makefile README.md LICENSE CHANGELOG.md conf include man src tests '$(DEBTREE)'
	cp -a conf/debian '$(DEBTREE)/debian'
	cd '$(DEBTREE)' && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD dpkg-buildpackage --build=binary --no-sign
	@ls '$(DEB)'/*.deb

# Shows the main job for real, and installs by apt what that needs. KEEP=1 leaves it running.
demo:
	@BUILD='$(BUILD)' KEEP='$(KEEP)' tests/demo

.PHONY: install uninstall deb demo
