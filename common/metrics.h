/*
 * What the service counts, for Prometheus (metrics.def).
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

enum metric {
#define METRIC(id, name, type, label, help) METRIC_##id,
#include "metrics.def"
	METRICS
};

struct metric_decl {
	const char	*name;		/* with its prefix */
	const char	*type;		/* "gauge" or "counter" */
	const char	*label;		/* "" for none */
	const char	*help;
};

extern const struct metric_decl metric_decls[METRICS];

#endif
