/* How many processors the quotas of control groups allow, under a root directory of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/cpus.h"

static char root[] = "/tmp/test_cpus.XXXXXX";

/* printf's arguments: a shell command, run in the root directory. */
__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[1024];
	va_list arguments;
	int used = snprintf(command, sizeof command, "set -e; cd %s; ", root);
	va_start(arguments, format);
	vsnprintf(command + used, sizeof command - (size_t)used, format, arguments);
	va_end(arguments);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/test_cpus.XXXXXX");
	assert_non_null(mkdtemp(root));
	shell("mkdir -p proc/self sys/fs/cgroup");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shell("rm -rf %s", root);
	return 0;
}

static void put_v1(const char *group, const char *quota)
{
	shell("mkdir -p 'sys/fs/cgroup/cpu,cpuacct%s'; ln -sfn cpu,cpuacct sys/fs/cgroup/cpu",
		group);
	shell("echo %s >sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", quota, group);
	shell("echo 100000 >sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
}

static void test_no_groups(void **state)
{
	(void)state;
	assert_int_equal(cpus_of_quotas(root), UINT_MAX);
	shell("printf '0::/\\n' >proc/self/cgroup");
	assert_int_equal(cpus_of_quotas(root), UINT_MAX);
	assert_true(cpus_usable() >= 1);
}

static void test_version_2(void **state)
{
	(void)state;
	shell("printf '0::/a.slice/b.service\\n' >proc/self/cgroup");
	shell("mkdir -p sys/fs/cgroup/a.slice/b.service");
	shell("echo max 100000 >sys/fs/cgroup/a.slice/b.service/cpu.max");
	assert_int_equal(cpus_of_quotas(root), UINT_MAX);
	shell("echo 350000 100000 >sys/fs/cgroup/a.slice/cpu.max");
	assert_int_equal(cpus_of_quotas(root), 4);
	shell("echo 50000 100000 >sys/fs/cgroup/a.slice/b.service/cpu.max");
	assert_int_equal(cpus_of_quotas(root), 1);
}

static void test_version_1(void **state)
{
	(void)state;
	shell("printf '3:memory:/x\\n4:cpu,cpuacct:/docker/abc\\n1:name=systemd:/x\\n' "
	      ">proc/self/cgroup");
	put_v1("/docker/abc", "-1");
	assert_int_equal(cpus_of_quotas(root), UINT_MAX);
	put_v1("/docker", "150000");
	assert_int_equal(cpus_of_quotas(root), 2);
	put_v1("/docker/abc", "100000");
	assert_int_equal(cpus_of_quotas(root), 1);
}

/* The path is the one outside; the container's own group is the top of what it sees. */
static void test_a_container_sees_the_top_alone(void **state)
{
	(void)state;
	shell("printf '4:cpuacct,cpu:/docker/abc\\n0::/\\n' >proc/self/cgroup");
	put_v1("", "300000");
	assert_int_equal(cpus_of_quotas(root), 3);
	shell("printf '0::/outside\\n' >proc/self/cgroup");
	shell("echo 200000 100000 >sys/fs/cgroup/cpu.max");
	assert_int_equal(cpus_of_quotas(root), 2);
}

static void test_controllers_of_other_names(void **state)
{
	(void)state;
	shell("printf '4:cpuset:/x\\n5:cpuacct:/x\\nnonsense\\n6:cpu\\n' >proc/self/cgroup");
	put_v1("/x", "100000");
	assert_int_equal(cpus_of_quotas(root), UINT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version_2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version_1, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_container_sees_the_top_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_controllers_of_other_names, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
