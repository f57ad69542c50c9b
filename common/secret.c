#include "secret.h"

#include <sys/mman.h>

#include <openssl/crypto.h>

#include "log.h"

#define PAGE	4096

static size_t
pages(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

void *
secret_alloc(size_t n)
{
	void *p;

	p = mmap(NULL, pages(n), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fatal("mmap for secrets");
	if (mlock(p, pages(n)) == -1)
		fatal("mlock for secrets");
	if (madvise(p, pages(n), MADV_DONTDUMP) == -1 ||
	    madvise(p, pages(n), MADV_WIPEONFORK) == -1)
		fatal("madvise for secrets");
	return p;
}

void
secret_free(void *p, size_t n)
{
	if (p == NULL)
		return;
	OPENSSL_cleanse(p, pages(n));
	if (munmap(p, pages(n)) == -1)
		fatal("munmap of secrets");
}
