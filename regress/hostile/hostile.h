/* Functions of roles that hostile programs replace at link time. */
#ifndef HOSTILE_HOSTILE_H
#define HOSTILE_HOSTILE_H

#include "board.h"
#include "kex.h"
#include "role.h"

extern struct board *board;

void __real_role_start(struct role *r, enum role_id id, int argc, char **argv,
    void (*prepare)(struct role *));
void __wrap_role_start(struct role *r, enum role_id id, int argc, char **argv,
    void (*prepare)(struct role *));
int __real_chan_send(struct chan *c, enum msg_type type, const void *body,
    int fd);
int __wrap_chan_send(struct chan *c, enum msg_type type, const void *body,
    int fd);
struct audit_log;
struct audit_event;
int __real_audit_append(struct audit_log *l, const struct audit_event *ev);
int __wrap_audit_append(struct audit_log *l, const struct audit_event *ev);
int __real_kex_run(const struct kex *k);
int __wrap_kex_run(const struct kex *k);
int __real_session_run(uint64_t n, int vault, int twin);
int __wrap_session_run(uint64_t n, int vault, int twin);

/* ---- hostile.c ---- */
/* The board says "now", and that this is what is to be done; it is done once. */
bool armed_for(int32_t what);
/* One attempt on whoever is at the other end; as that, it is in `cell'. */
void attack_end(int fd, const struct cell *cell);

/* ---- special.c: attempts that need a plan ---- */
size_t special_kex_count(void);
void special_kex(const struct kex *k, size_t i);
size_t special_session_count(void);
/* vault: SESS_VAULT, LIVE, of session n. */
void special_session(struct chan *vault, uint64_t n, size_t i);

/* ---- workers.c ---- */
/* A channel to the default model, or -1. */
int model_channel(struct chan *vault);

#endif
