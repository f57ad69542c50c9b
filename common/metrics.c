#include "metrics.h"

const struct metric_decl metric_decls[METRICS] = {
#define METRIC(id, name, type, label, help) \
	{ "cloister_" name, type, label, help },
#include "metrics.def"
};
