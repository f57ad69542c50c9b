/* A role's clock, set back by a day: linked in place of wall_us(). */
#include "loop.h"

#define BACK_US	((uint64_t)86400 * 1000000)

uint64_t __real_wall_us(void);
uint64_t __wrap_wall_us(void);

uint64_t
__wrap_wall_us(void)
{
	return __real_wall_us() - BACK_US;
}
