/* The table of hosts: which one a name leads to, and whose certificate is nearest to it. */
#include "route/host_table.h"

#include "wire/server_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct host host_of(const char *name)
{
	return (struct host){.name = name, .name_len = (uint32_t)strlen(name)};
}

static void add(struct host_table *table, const char *name)
{
	struct host host = host_of(name);
	assert_non_null(host_table_add(table, &host));
}

static void add_with_certificate(struct host_table *table, const char *name)
{
	struct host host = host_of(name);
	struct host *added = host_table_add(table, &host);
	assert_non_null(added);
	assert_true(host_table_add_closest(table, added));
}

static const char *name_of(const struct host *host)
{
	return host ? host->name : "none";
}

static void assert_match(const struct host_table *table, const char *name, const char *expected)
{
	assert_string_equal(name_of(host_table_match(table, span_of_string(name))), expected);
}

static void assert_closest(const struct host_table *table, const char *name, const char *expected)
{
	assert_string_equal(name_of(host_table_closest(table, span_of_string(name))), expected);
}

static void an_empty_table_leads_nowhere(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	assert_match(&table, "app.test", "none");
	assert_match(&table, "", "none");
	assert_closest(&table, "app.test", "none");
	host_table_seal(&table);
	assert_match(&table, "app.test", "none");
	host_table_finish(&table);
}

static void exact_comes_before_wildcard_before_star(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add(&table, "*");
	add(&table, "*.test");
	add(&table, "*.app.test");
	add(&table, "www.app.test");
	add(&table, "*.deep.x.app.test");
	add(&table, "app.test");
	host_table_seal(&table);
	assert_match(&table, "www.app.test", "www.app.test");
	assert_match(&table, "app.test", "app.test");
	assert_match(&table, "api.app.test", "*.app.test");
	assert_match(&table, "a.b.c.app.test", "*.app.test");
	assert_match(&table, "deep.x.app.test", "*.app.test");
	assert_match(&table, "a.deep.x.app.test", "*.deep.x.app.test");
	assert_match(&table, "a.www.app.test", "*.app.test");
	assert_match(&table, "other.test", "*.test");
	assert_match(&table, "test", "*");
	assert_match(&table, "xapp.test", "*.test");
	assert_match(&table, "other.example", "*");
	assert_match(&table, "", "*");
	host_table_finish(&table);
}

static void a_wildcard_is_not_its_own_parent(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add(&table, "*.app.test");
	assert_match(&table, "app.test", "none");
	assert_match(&table, "myapp.test", "none");
	assert_match(&table, "test", "none");
	assert_match(&table, "", "none");
	host_table_finish(&table);
}

/* Keys and names are canonical: case and the trailing dot are gone before the table sees them. */
static void canonical_names_are_found(void **state)
{
	(void)state;
	struct host_table table;
	struct server_name name;
	host_table_init(&table);
	add(&table, "app.test");
	assert_null(server_name_parse(span_of_string("APP.Test."), &name));
	assert_match(&table, name.text, "app.test");
	assert_match(&table, "APP.test", "none");
	host_table_finish(&table);
}

static void a_client_may_name_patterns_literally(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add(&table, "*.app.test");
	add(&table, "app.test");
	assert_match(&table, "*", "none");
	assert_match(&table, "*.test", "none");
	assert_match(&table, "*.app.test", "*.app.test"); /* as any name below */
	assert_match(&table, "*.x.app.test", "*.app.test");
	assert_match(&table, "*app.test", "none");
	add(&table, "*");
	assert_match(&table, "*", "*");
	assert_match(&table, "*.test", "*");
	host_table_finish(&table);
}

/* What begins with a dot is how wildcards are filed; no parser lets such a name through. */
static void the_form_of_filing_is_no_name(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add(&table, "*.app.test");
	assert_match(&table, ".app.test", "none");
	host_table_finish(&table);
}

static void a_host_is_got_by_its_own_name_only(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add(&table, "*");
	add(&table, "*.app.test");
	add(&table, "app.test");
	assert_string_equal(name_of(host_table_get(&table, span_of_string("*"))), "*");
	assert_string_equal(
		name_of(host_table_get(&table, span_of_string("*.app.test"))), "*.app.test");
	assert_string_equal(
		name_of(host_table_get(&table, span_of_string("app.test"))), "app.test");
	assert_null(host_table_get(&table, span_of_string("www.app.test")));
	assert_null(host_table_get(&table, span_of_string("*.www.app.test")));
	assert_null(host_table_get(&table, span_of_string("")));
	host_table_finish(&table);
}

static void duplicates_are_refused(void **state)
{
	(void)state;
	static const char *const names[] = {"app.test", "*.app.test", "*"};
	struct host_table table;
	host_table_init(&table);
	for (size_t i = 0; i < 3; i++)
		add(&table, names[i]);
	for (size_t i = 0; i < 3; i++) {
		struct host again = host_of(names[i]);
		assert_null(host_table_add(&table, &again));
	}
	assert_int_equal(table.count, 3);
	assert_match(&table, "app.test", "app.test");
	host_table_finish(&table);
}

static void the_closest_shares_the_most_labels(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add_with_certificate(&table, "www.one.example");
	add_with_certificate(&table, "*.two.example");
	add_with_certificate(&table, "app.test");
	add(&table, "bare.other"); /* passes through: it has none to show */
	assert_closest(&table, "www.one.example", "www.one.example");
	assert_closest(&table, "api.one.example", "www.one.example");
	assert_closest(&table, "a.www.one.example", "www.one.example");
	assert_closest(&table, "two.example", "*.two.example");
	assert_closest(&table, "a.b.two.example", "*.two.example");
	assert_closest(&table, "other.test", "app.test");
	assert_closest(&table, "app.test", "app.test");
	assert_closest(&table, "bare.other", "none");
	assert_closest(&table, "xtest", "none");
	assert_closest(&table, "", "none");
	host_table_finish(&table);
}

/* Nothing shares a label with "*", yet it is a host with a certificate like others. */
static void a_star_is_never_closest(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	add_with_certificate(&table, "*");
	assert_match(&table, "any.test", "*");
	add_with_certificate(&table, "app.test");
	assert_closest(&table, "www.test", "app.test");
	host_table_finish(&table);
}

#define MANY 100000

static void format_name(char out[32], unsigned i)
{
	static const char *const before[] = {"h", "*.w", "x.h"};
	static const char *const behind[] = {".example.test", ".test", ".test"};
	snprintf(out, 32, "%s%u%s", before[i % 3], i, behind[i % 3]);
}

static char *make_many(struct host_table *table)
{
	char *names = malloc(MANY * 32u);
	assert_non_null(names);
	for (unsigned i = 0; i < MANY; i++) {
		format_name(names + i * 32u, i);
		add_with_certificate(table, names + i * 32u);
	}
	host_table_seal(table);
	return names;
}

static void a_hundred_thousand_names(void **state)
{
	(void)state;
	struct host_table table;
	host_table_init(&table);
	char *names = make_many(&table), asked[48];
	assert_int_equal(table.count, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		const char *name = names + i * 32u;
		bool is_wildcard = name[0] == '*';
		snprintf(asked, sizeof asked, "%s%s", is_wildcard ? "a.b" : "", name + is_wildcard);
		const struct host *host = host_table_match(&table, span_of_string(asked));
		assert_ptr_equal(host, &table.hosts[i]);
		assert_ptr_equal(host_table_get(&table, span_of_string(name)), host);
		snprintf(asked, sizeof asked, "a%s.no", name + is_wildcard);
		assert_null(host_table_match(&table, span_of_string(asked)));
	}
	host_table_finish(&table);
	free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_leads_nowhere),
		cmocka_unit_test(exact_comes_before_wildcard_before_star),
		cmocka_unit_test(a_wildcard_is_not_its_own_parent),
		cmocka_unit_test(canonical_names_are_found),
		cmocka_unit_test(a_client_may_name_patterns_literally),
		cmocka_unit_test(the_form_of_filing_is_no_name),
		cmocka_unit_test(a_host_is_got_by_its_own_name_only),
		cmocka_unit_test(duplicates_are_refused),
		cmocka_unit_test(the_closest_shares_the_most_labels),
		cmocka_unit_test(a_star_is_never_closest),
		cmocka_unit_test(a_hundred_thousand_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
