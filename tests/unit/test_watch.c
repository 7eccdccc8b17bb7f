/* A real loop, a real directory: each test changes files and waits until the watch has told it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "failing_epoll.h"
#include "watch/file_system.h"
#include "watch/watch.h"

#define QUIET         0.05
#define DEADLINE      15.0
#define SILENCE       (6 * QUIET)
#define OVERFLOW_FILE "/proc/sys/fs/inotify/max_queued_events"
#define WATCHES_FILE  "/proc/sys/user/max_inotify_watches"

struct fixture {
	struct ev_loop *loop;
	struct watch *watch;
	char dir[64];
	const char *const *paths;
	size_t count;
	unsigned fires;
	bool destroys;
	ev_timer deadline, writer;
};

/* What an owner does: reads, and says what it now depends on. */
static void on_change(void *owner)
{
	struct fixture *f = owner;
	f->fires++;
	ev_break(f->loop, EVBREAK_ALL);
	if (f->destroys) {
		watch_destroy(f->watch);
		f->watch = NULL;
	} else {
		watch_replace(f->watch, f->paths, f->count);
	}
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void make_watch(struct fixture *f)
{
	struct err err;
	f->watch = watch_create(f->loop, QUIET, on_change, f, &err);
	assert_non_null(f->watch);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/test-watch-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	f->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&f->deadline, on_deadline, 0, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	watch_destroy(f->watch);
	ev_loop_destroy(f->loop);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* In all that follows, relative names are in the fixture's directory. */
static void put(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(name, 0700), 0);
}

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, name), 0);
}

static void move(const char *from, const char *to)
{
	assert_int_equal(rename(from, to), 0);
}

static void run_for(struct fixture *f, double seconds)
{
	ev_now_update(f->loop);
	ev_timer_set(&f->deadline, seconds, 0);
	ev_timer_start(f->loop, &f->deadline);
	ev_run(f->loop, 0);
	ev_timer_stop(f->loop, &f->deadline);
}

static void expect_fire(struct fixture *f)
{
	unsigned before = f->fires;
	run_for(f, DEADLINE);
	assert_int_equal(f->fires, before + 1);
}

static void expect_silence(struct fixture *f)
{
	unsigned before = f->fires;
	run_for(f, SILENCE);
	assert_int_equal(f->fires, before);
}

#define WATCH(f, ...)                                                                              \
	do {                                                                                       \
		static const char *const paths_[] = {__VA_ARGS__};                                 \
		if (!(f)->watch)                                                                   \
			make_watch(f);                                                             \
		(f)->paths = paths_;                                                               \
		(f)->count = sizeof paths_ / sizeof *paths_;                                       \
		watch_replace((f)->watch, (f)->paths, (f)->count);                                 \
	} while (0)

static void a_write_in_place_is_told(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	WATCH(f, "file");
	put("file", "two");
	expect_fire(f);
	put("file", "two"); /* even the same text: the owner compares */
	expect_fire(f);
	expect_silence(f);
}

/* The directory is passed through for one path before it is looked at for the other. */
static void a_write_beside_a_directory_is_told(void **state)
{
	struct fixture *f = *state;
	make_dir("directory");
	put("file", "one");
	WATCH(f, "directory/other", "file");
	put("file", "two");
	expect_fire(f);
}

static void a_rename_over_is_told(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	WATCH(f, "file");
	put(".file.swp", "two");
	expect_silence(f);
	move(".file.swp", "file");
	expect_fire(f);
}

static void a_change_of_mode_is_told(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	WATCH(f, "file");
	assert_int_equal(chmod("file", 0400), 0);
	expect_fire(f);
}

static void a_file_deleted_and_made_again_is_told_twice(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	WATCH(f, "file");
	unlink("file");
	expect_fire(f);
	put("file", "two");
	expect_fire(f);
}

static void other_files_are_not_told(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	WATCH(f, "file");
	put("other", "x");
	put("file2", "x");
	make_dir("directory");
	unlink("other");
	expect_silence(f);
}

static void a_path_left_out_is_not_told_any_more(void **state)
{
	struct fixture *f = *state;
	make_dir("a");
	make_dir("b");
	WATCH(f, "a/file", "b/file");
	WATCH(f, "a/file");
	put("b/file", "x");
	expect_silence(f);
	put("a/file", "x");
	expect_fire(f);
}

/* As the kernel tells it: proc(5), /proc/PID/fdinfo. */
static unsigned count_watched_directories(void)
{
	unsigned count = 0;
	FILE *lines = popen("cat /proc/$PPID/fdinfo/* | grep -c ^inotify", "r");
	assert_non_null(lines);
	assert_int_equal(fscanf(lines, "%u", &count), 1);
	pclose(lines);
	return count;
}

static void directories_no_longer_needed_are_let_go(void **state)
{
	struct fixture *f = *state;
	make_dir("a");
	make_dir("b");
	WATCH(f, "file");
	unsigned few = count_watched_directories();
	WATCH(f, "file", "a/file", "b/file");
	assert_int_equal(count_watched_directories(), few + 2);
	WATCH(f, "file", "a/file");
	assert_int_equal(count_watched_directories(), few + 1);
}

/* As kubelet does it: AtomicWriter writes a new directory and renames a link over "..data". */
static void a_swap_of_the_data_link_is_told(void **state)
{
	struct fixture *f = *state;
	make_dir("..2026_1");
	put("..2026_1/tls.crt", "one");
	make_link("..2026_1", "..data");
	make_link("..data/tls.crt", "tls.crt");
	WATCH(f, "tls.crt");

	make_dir("..2026_2");
	put("..2026_2/tls.crt", "two");
	expect_silence(f);
	make_link("..2026_2", "..data_tmp");
	move("..data_tmp", "..data");
	expect_fire(f);
	put("..2026_1/tls.crt", "nobody looks here now");
	expect_silence(f);
	put("..2026_2/tls.crt", "three");
	expect_fire(f);
}

static void links_anywhere_on_the_path_are_followed(void **state)
{
	struct fixture *f = *state;
	char target[PATH_MAX];
	make_dir("live");
	make_dir("archive");
	make_dir("archive/v1");
	put("archive/v1/key", "one");
	snprintf(target, sizeof target, "%s/archive/./v1", f->dir);
	make_link(target, "live/current");          /* absolute */
	make_link("../archive/v1/key", "live/key"); /* relative, and upwards */
	WATCH(f, "live/current/key");
	put("archive/v1/key", "two");
	expect_fire(f);
	WATCH(f, "live/key");
	put("archive/v1/key", "three");
	expect_fire(f);
	move("archive", "attic");
	expect_fire(f);
}

static void a_dangling_link_is_told_when_its_target_comes(void **state)
{
	struct fixture *f = *state;
	make_dir("there");
	make_link("there/file", "link");
	WATCH(f, "link");
	put("there/file", "x");
	expect_fire(f);
}

static void links_in_a_circle_end(void **state)
{
	struct fixture *f = *state;
	make_link("b", "a");
	make_link("a", "b");
	WATCH(f, "a/x", "b");
	unlink("b");
	put("b", "a file at last");
	expect_fire(f);
}

static void a_write_by_another_hard_link_is_told(void **state)
{
	struct fixture *f = *state;
	make_dir("archive");
	put("archive/cert", "one");
	assert_int_equal(link("archive/cert", "cert"), 0);
	WATCH(f, "cert");
	put("archive/cert", "two");
	expect_fire(f);
	put("archive/cert", "three");
	expect_fire(f);
	put("new", "four");
	assert_int_equal(link("new", "archive/new"), 0);
	move("new", "cert");
	expect_fire(f);
	put("archive/cert", "nobody looks here now");
	expect_silence(f);
	put("archive/new", "five");
	expect_fire(f);
}

/* Each would hold an inode in the kernel: those beyond the limit are examined. */
static void many_hard_links_are_few_watches(void **state)
{
	enum { COUNT = 1100 };
	struct fixture *f = *state;
	static char names[COUNT][32], others[COUNT][32];
	static const char *paths[COUNT];
	make_dir("other");
	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof names[i], "%d", i);
		snprintf(others[i], sizeof others[i], "other/%d", i);
		put(names[i], "one");
		assert_int_equal(link(names[i], others[i]), 0);
		paths[i] = names[i];
	}
	make_watch(f);
	f->paths = paths;
	f->count = COUNT;
	watch_replace(f->watch, paths, COUNT);
	unsigned watched = count_watched_directories();
	assert_true(watched > 1000 && watched < 1040);
	for (int i = 0; i < COUNT; i += COUNT / 5) {
		put(others[i], "two");
		expect_fire(f);
	}
	put("other/1099", "two");
	expect_fire(f);
	expect_silence(f);
}

static bool mount_alone(const char *source, const char *target)
{
	return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
		mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 &&
		mount(source, target, NULL, MS_BIND, NULL) == 0;
}

/* It never appears in the directory where it is mounted that the file is written elsewhere. */
static void change_a_mounted_file(struct fixture *f)
{
	if (!mount_alone("source/file", "mounted/file"))
		_exit(2);
	ev_loop_fork(f->loop);
	WATCH(f, "mounted/file");
	for (unsigned i = 1; i <= 2; i++) {
		put("source/file", "two");
		run_for(f, DEADLINE);
		if (f->fires != i)
			_exit(1);
	}
	put("source/other", "not ours");
	run_for(f, SILENCE);
	watch_destroy(f->watch);
	_exit(f->fires == 2 ? 0 : 1);
}

static void a_write_to_a_mounted_file_is_told(void **state)
{
	struct fixture *f = *state;
	int status;
	make_dir("source");
	make_dir("mounted");
	put("source/file", "one");
	put("mounted/file", "");
	pid_t child = fork();
	if (child == 0)
		change_a_mounted_file(f);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip(); /* no mounts here */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void directories_may_come_later(void **state)
{
	struct fixture *f = *state;
	WATCH(f, "a/b/file");
	make_dir("a");
	expect_fire(f);
	make_dir("a/b");
	put("a/b/file", "one");
	expect_fire(f);
	put("a/b/file", "two");
	expect_fire(f);
}

static void a_replaced_directory_is_followed(void **state)
{
	struct fixture *f = *state;
	make_dir("certs");
	put("certs/file", "one");
	WATCH(f, "certs/file");
	make_dir("new");
	put("new/file", "two");
	expect_silence(f);
	move("certs", "old");
	move("new", "certs");
	expect_fire(f);
	put("old/file", "nobody looks here now");
	expect_silence(f);
	put("certs/file", "three");
	expect_fire(f);
}

static void a_removed_directory_is_told(void **state)
{
	struct fixture *f = *state;
	make_dir("certs");
	put("certs/file", "one");
	WATCH(f, "certs/file");
	unlink("certs/file");
	rmdir("certs");
	expect_fire(f);
	make_dir("certs");
	put("certs/file", "two");
	expect_fire(f);
	put("certs/file", "three");
	expect_fire(f);
}

static void a_pattern_tells_of_every_match(void **state)
{
	struct fixture *f = *state;
	make_dir("hosts.d");
	make_dir("available");
	put("available/b.json", "{}");
	WATCH(f, "hosts.d/*.json");
	put("hosts.d/a.json~", "{}");
	put("hosts.d/.a.json", "{}");
	expect_silence(f);
	put("hosts.d/a.json", "{}");
	expect_fire(f);
	make_link("../available/b.json", "hosts.d/b.json");
	expect_fire(f);
	put("available/b.json", "{ }");
	expect_fire(f);
	unlink("hosts.d/a.json");
	expect_fire(f);
}

static void a_burst_is_told_once(void **state)
{
	struct fixture *f = *state;
	WATCH(f, "file", "file2");
	for (int i = 0; i < 30; i++) {
		put("file", "x");
		put("file2", "x");
	}
	expect_fire(f);
	expect_silence(f);
}

static void on_writer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	put("file", "again");
}

static void a_burst_without_end_is_told_in_time(void **state)
{
	struct fixture *f = *state;
	WATCH(f, "file");
	ev_timer_init(&f->writer, on_writer, 0, QUIET / 10);
	ev_timer_start(f->loop, &f->writer);
	expect_fire(f);
	ev_timer_stop(f->loop, &f->writer);
}

static void an_overflow_counts_as_a_change(void **state)
{
	struct fixture *f = *state;
	long limit = 0;
	FILE *file = fopen(OVERFLOW_FILE, "r");
	if (!file || fscanf(file, "%ld", &limit) != 1 || limit > 1000000)
		skip();
	fclose(file);
	put("one", "");
	put("other", "");
	WATCH(f, "file");
	/* In turns, for the kernel folds like events that follow each other. */
	for (long i = 0; i <= limit; i++)
		assert_int_equal(utimensat(AT_FDCWD, i % 2 ? "one" : "other", NULL, 0), 0);
	expect_fire(f);
	expect_silence(f);
}

static void a_change_before_the_watch_is_told(void **state)
{
	struct fixture *f = *state;
	struct timespec begun;
	struct stat stat;
	make_dir("new");
	put("before", "as old as the first read");
	WATCH(f, "before");
	expect_silence(f);

	clock_gettime(CLOCK_REALTIME, &begun);
	do { /* files are stamped by a clock that may be some milliseconds behind */
		put("new/during", "written after the owner's read, before it said so");
		assert_int_equal(lstat("new/during", &stat), 0);
	} while (stat.st_ctim.tv_sec < begun.tv_sec ||
		(stat.st_ctim.tv_sec == begun.tv_sec && stat.st_ctim.tv_nsec <= begun.tv_nsec));
	WATCH(f, "before", "new/during");
	expect_fire(f);
	expect_silence(f);
}

static void many_paths_are_cheap(void **state)
{
	enum { COUNT = 20000 };
	struct fixture *f = *state;
	char **names = calloc(COUNT, sizeof *names);
	assert_non_null(names);
	make_dir("a");
	make_dir("b");
	for (int i = 0; i < COUNT; i++)
		assert_true(asprintf(&names[i], "%s/%s/%d.crt", f->dir, i % 2 ? "a" : "b", i) > 0);
	make_watch(f);
	clock_t before = clock();
	watch_replace(f->watch, (const char *const *)names, COUNT);
	watch_replace(f->watch, (const char *const *)names, COUNT);
	double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
	assert_true(seconds < 5); /* a search from end to end for each would take a minute */

	WATCH(f, "a/0.crt");
	watch_replace(f->watch, (const char *const *)names, COUNT);
	put("b/7.crt", "the odd ones are in the other directory");
	expect_silence(f);
	put("a/19999.crt", "x");
	expect_fire(f);
	for (int i = 0; i < COUNT; i++)
		free(names[i]);
	free(names);
}

static void the_owner_may_destroy_it(void **state)
{
	struct fixture *f = *state;
	WATCH(f, "file");
	f->destroys = true;
	put("file", "x");
	expect_fire(f);
	assert_null(f->watch);
}

static void a_waiting_change_dies_with_the_watch(void **state)
{
	struct fixture *f = *state;
	WATCH(f, "file");
	put("file", "x");
	ev_run(f->loop, EVRUN_NOWAIT);
	watch_destroy(f->watch);
	f->watch = NULL;
	expect_silence(f);
}

static unsigned count_threads(void)
{
	unsigned count = 0;
	FILE *lines = popen("ls /proc/$PPID/task | wc -l", "r");
	assert_non_null(lines);
	assert_int_equal(fscanf(lines, "%u", &count), 1);
	pclose(lines);
	return count;
}

static void where_events_come_nothing_polls(void **state)
{
	struct fixture *f = *state;
	unsigned before = count_threads();
	if (file_system_is_silent(f->dir))
		skip(); /* a container's fuse-overlayfs */
	put("file", "one");
	WATCH(f, "file", "later/file");
	assert_int_equal(count_threads(), before);
}

/* Which libev says at the next event of the loop: there is none but the watch's own. */
static void what_epoll_refuses_is_watched_later(void **state)
{
	struct fixture *f = *state;
	put("file", "one");
	expect_silence(f); /* libev watches what it needs */
	WATCH(f, "file");
	atomic_store(&epoll_failures, 2);
	put("file", "two");
	expect_fire(f);
	assert_int_equal(atomic_exchange(&epoll_failures, 0), 0);
}

/* A descriptor too many: inotify_init1 fails, and the files are looked at from time to time. */
static void without_inotify_it_polls(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	make_watch(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

	make_dir("d");
	put("file", "one");
	WATCH(f, "file", "d/*.json");
	put("other", "x");
	put("file", "two");
	expect_fire(f);
	put("d/new.json", "{}");
	expect_fire(f);
	unlink("file");
	expect_fire(f);
	expect_silence(f);
}

/* In a user namespace of its own the limit is ours to set. */
static bool limit_watches(const char *limit)
{
	FILE *file = unshare(CLONE_NEWUSER) == 0 ? fopen(WATCHES_FILE, "w") : NULL;
	return file && fputs(limit, file) >= 0 && fclose(file) == 0;
}

static void run_out_of_watches(struct fixture *f)
{
	put("plenty", "x");
	if (!limit_watches("2\n"))
		_exit(2);
	ev_loop_fork(f->loop);
	WATCH(f, "a/b/c/file");
	put("a/b/c/file", "two");
	run_for(f, DEADLINE);
	bool has_polled = f->fires == 1;
	/* With fewer paths the watches are enough again. */
	WATCH(f, "/none");
	watch_destroy(f->watch);
	_exit(has_polled ? 0 : 1);
}

static void without_enough_watches_it_polls(void **state)
{
	struct fixture *f = *state;
	int status;
	make_dir("a");
	make_dir("a/b");
	make_dir("a/b/c");
	put("a/b/c/file", "one");
	pid_t child = fork();
	if (child == 0)
		run_out_of_watches(f);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip(); /* no user namespaces here */
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_in_place_is_told),
		TEST(a_write_beside_a_directory_is_told),
		TEST(a_rename_over_is_told),
		TEST(a_change_of_mode_is_told),
		TEST(a_file_deleted_and_made_again_is_told_twice),
		TEST(other_files_are_not_told),
		TEST(a_path_left_out_is_not_told_any_more),
		TEST(directories_no_longer_needed_are_let_go),
		TEST(a_swap_of_the_data_link_is_told),
		TEST(links_anywhere_on_the_path_are_followed),
		TEST(a_dangling_link_is_told_when_its_target_comes),
		TEST(links_in_a_circle_end),
		TEST(a_write_by_another_hard_link_is_told),
		TEST(many_hard_links_are_few_watches),
		TEST(a_write_to_a_mounted_file_is_told),
		TEST(directories_may_come_later),
		TEST(a_replaced_directory_is_followed),
		TEST(a_removed_directory_is_told),
		TEST(a_pattern_tells_of_every_match),
		TEST(a_burst_is_told_once),
		TEST(a_burst_without_end_is_told_in_time),
		TEST(an_overflow_counts_as_a_change),
		TEST(a_change_before_the_watch_is_told),
		TEST(many_paths_are_cheap),
		TEST(the_owner_may_destroy_it),
		TEST(a_waiting_change_dies_with_the_watch),
		TEST(where_events_come_nothing_polls),
		TEST(what_epoll_refuses_is_watched_later),
		TEST(without_inotify_it_polls),
		TEST(without_enough_watches_it_polls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
