/*
 * What vault_turn.c and vault_rotate.c share; nobody else includes it.
 */
#ifndef STORAGED_VAULT_TURN_H
#define STORAGED_VAULT_TURN_H

#include "vault.h"

/*
 * Keep turns away while a rotation is prepared: false when one is under way or
 * somebody waits.  done is told at the end of the turn, or by turn_give_up().
 */
bool turn_reserve(struct vault *v, void (*done)(void *, bool, const char *),
    void *arg);
/* The preparation failed. */
void turn_give_up(struct vault *v, const char *why);
/*
 * Turn to the generation that is prepared: sk[1], and gen and share_b in
 * anchor.epoch[1].
 */
void turn_rotate(struct vault *v);

/* ---- vault_rotate.c ------------------------------------------------------ */

/*
 * Drop what no epoch of the anchor names any more, or does not name yet, from
 * the key file, at once, and from the engine's R records.
 */
void rotate_tidy(struct vault *v);
void rotate_free(struct vault *v);

#endif
