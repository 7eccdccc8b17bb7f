/* Pins: the forms that they are written in, and what they match. */
#include "tls/cert/pin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h> /* needs those before it */

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void assert_taken(const char *text)
{
	struct pins pins = {0};
	struct err err;
	if (!pins_add(&pins, text, &err))
		fail_msg("%s: %s", text, err.text);
	for (unsigned i = 0; i < FINGERPRINT_SIZE; i++)
		assert_int_equal(pins.sha256[0][i], i);
}

static void takes_the_forms_that_tools_print(void **state)
{
	(void)state;
	assert_taken(HEX);
	assert_taken("sha256:" HEX);
	assert_taken("SHA256:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
	assert_taken("00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:"
		     "10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F");
	assert_taken("sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
}

static void refuses_all_others(void **state)
{
	static const char *const wrong[] = {"", "00", HEX "0", HEX "00", "sha256:", ":" HEX,
		HEX ":", "0001:" HEX, "sha256//", "sha256//AAEC",
		"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
		"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH!8=", "sha1:" HEX,
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
	struct err err;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pins pins = {0};
		if (pins_add(&pins, wrong[i], &err))
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_int_equal(pins.count, 0);
	}
}

static void matches_the_certificate_or_its_key(void **state)
{
	struct identity identity = {0};
	struct pins pins = {0};
	struct err err;
	(void)state;
	assert_false(pins_match(&pins, &identity));
	assert_true(pins_add(&pins, HEX, &err));
	assert_false(pins_match(&pins, &identity));
	memcpy(identity.key, pins.sha256[0], FINGERPRINT_SIZE);
	assert_true(pins_match(&pins, &identity));
	memcpy(identity.certificate, pins.sha256[0], FINGERPRINT_SIZE);
	identity.key[31] ^= 1;
	assert_true(pins_match(&pins, &identity));
	identity.certificate[0] ^= 1;
	assert_false(pins_match(&pins, &identity));
}

static void takes_no_more_than_there_is_room_for(void **state)
{
	struct pins pins = {0};
	struct err err;
	(void)state;
	for (int i = 0; i < PINS_MAX; i++)
		assert_true(pins_add(&pins, HEX, &err));
	assert_false(pins_add(&pins, HEX, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_forms_that_tools_print),
		cmocka_unit_test(refuses_all_others),
		cmocka_unit_test(matches_the_certificate_or_its_key),
		cmocka_unit_test(takes_no_more_than_there_is_room_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
