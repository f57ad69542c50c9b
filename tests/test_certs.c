/* common/certs.c: chains in PEM and as they travel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cert_make.h"
#include "certs.h"

static struct made_ca root;
static struct buf der = BUF_INIT(MADE_MAX), pem = BUF_INIT(65536);

static int
setup(void **state)
{
	(void)state;
	root = made_authority("root", made_ec(), NULL);
	made_der(&der, root.cert);
	made_pem(&pem, root.cert);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	made_ca_free(&root);
	buf_free(&der);
	buf_free(&pem);
	return 0;
}

/* Parse text; how many certificates, or -1. */
static int
count(struct bytes text)
{
	const char *why = NULL;
	struct certs c;
	int n;

	if (certs_pem(&c, text, &why) == -1) {
		assert_non_null(why);
		assert_null(c.wire.p);
		return -1;
	}
	n = (int)c.n;
	for (size_t i = 0; i < c.n; i++)
		assert_true(bytes_eq(c.cert[i], buf_bytes(&der)));
	certs_free(&c);
	return n;
}

static void
test_pem(void **state)
{
	struct buf b = BUF_INIT(65536);

	(void)state;
	assert_int_equal(count(bytes_str("")), 0);
	assert_int_equal(count(bytes_str("some text")), -1);
	for (int i = 1; i <= CERTS_MAX; i++) {
		buf_str(&b, "what is between is passed over\n");
		buf_put(&b, pem.p, pem.n);
		assert_int_equal(count(buf_bytes(&b)), i);
	}
	buf_put(&b, pem.p, pem.n);
	assert_int_equal(count(buf_bytes(&b)), -1);
	/* Cut anywhere it is no certificate. */
	for (size_t n = 1; n < pem.n - 1; n++)
		assert_int_equal(count(bytes_of(pem.p, n)), -1);
	buf_free(&b);
}

static void
test_not_base64(void **state)
{
	static const char *const bad[] = {
		"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMAIA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMAM\n-----END CERTIFICATE-----\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(count(bytes_str(bad[i])), -1);
}

/* One of n bytes in all, and how long one may be. */
static void
test_length(void **state)
{
	struct buf wire = BUF_INIT(65536);
	struct certs c;
	const char *why;

	(void)state;
	for (size_t n = CERT_MAX - 1; n <= CERT_MAX + 1; n++) {
		buf_reset(&wire);
		buf_u16(&wire, (uint16_t)n);
		buf_u8(&wire, 0x30);
		buf_u8(&wire, 0x82);
		buf_u16(&wire, (uint16_t)(n - 4));
		buf_zero(&wire, n - 4);
		if (n <= CERT_MAX) {
			assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why),
			    0);
			assert_int_equal(c.cert[0].n, n);
			certs_free(&c);
		} else
			assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why),
			    -1);
	}
	buf_free(&wire);
}

static void
test_wire(void **state)
{
	struct buf wire = BUF_INIT(65536);
	struct certs c;
	const char *why;

	(void)state;
	buf_v16(&wire, buf_bytes(&der));
	buf_v16(&wire, buf_bytes(&der));
	assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why), 0);
	assert_int_equal(c.n, 2);
	assert_true(bytes_eq(c.cert[1], buf_bytes(&der)));
	assert_true(bytes_eq(buf_bytes(&c.wire), buf_bytes(&wire)));
	certs_free(&c);
	for (size_t n = 1; n < wire.n; n++)
		if (n != 2 + der.n)
			assert_int_equal(certs_wire(&c, bytes_of(wire.p, n),
			    &why), -1);
	/* The outermost length must be that of the whole. */
	wire.p[5]++;
	assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why), -1);
	wire.p[5]--;
	for (int i = 0; i < CERTS_MAX - 1; i++)
		buf_v16(&wire, buf_bytes(&der));
	assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why), -1);
	buf_free(&wire);
}

static void
test_holds(void **state)
{
	struct bytes part = bytes_of(der.p + 40, 60);
	struct bytes none = { NULL, 0 };

	(void)state;
	assert_true(cert_holds(buf_bytes(&der), part));
	assert_false(cert_holds(buf_bytes(&der), none));
	assert_false(cert_holds(none, part));
	assert_false(cert_holds(part, buf_bytes(&der)));
}

/* Every verdict has words; numbers that are none, too. */
static void
test_texts(void **state)
{
	(void)state;
	for (unsigned v = 0; v < CERT_NVERDICTS; v++) {
		assert_true(cert_what(v)[0] != '\0');
		assert_true(v == CERT_OK || v == CERT_USER ||
		    cert_next_server(v)[0] != '\0');
		assert_true(v == CERT_OK || v == CERT_NONE || v == CERT_NAME ||
		    cert_next_user(v)[0] != '\0');
		for (unsigned o = 0; o < v; o++)
			assert_string_not_equal(cert_what(v), cert_what(o));
	}
	assert_true(cert_what(255)[0] != '\0');
	assert_string_equal(cert_next_server(255), "");
	assert_string_equal(cert_next_user(CERT_NVERDICTS), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_not_base64),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
