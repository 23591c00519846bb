/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A log with its spool in a temporary folder, for tests of whole logs. */

#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/entry.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char root[64], spool[80], log[80];
    dv_log_keys keys;
    dv_tree_signer signer;
} stand;

static int stand_make(void **state)
{
    uint8_t public_key[32];
    snprintf(stand.root, sizeof(stand.root), "%s/dvara-log-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(stand.root) == NULL) {
        return -1;
    }
    snprintf(stand.spool, sizeof(stand.spool), "%s/spool", stand.root);
    snprintf(stand.log, sizeof(stand.log), "%s/log", stand.root);
    dv_box_keypair(stand.keys.public_key, stand.keys.secret_key);
    dv_random(stand.signer.seed, sizeof(stand.signer.seed));
    if (dv_ed25519_public(stand.signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &stand.signer.verifier) != DV_OK) {
        return -1;
    }
    return mkdir(stand.spool, 0700);
}

static int stand_remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int stand_remove(void **state)
{
    return nftw(stand.root, stand_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whether events tell of users, by names that look sealed. */
static bool stand_named;

static dv_slice stand_event(unsigned number, const char *kind, char out[256])
{
    char user[96] = "";
    if (stand_named) {
        snprintf(user, sizeof(user), ",\"actor\":{\"user\":{\"name\":\"~1.%016x.%027x\"}}",
                 number % 37, number % 41);
    }
    int len = snprintf(out, 256,
                       "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"%s\","
                       "\"correlation_uid\":\"request-%u\"},\"time\":%u,\"class_uid\":6003%s}",
                       kind, number, 1000 + number, user);
    return dv_slice_of(out, (size_t)len);
}

/* A finished segment with the events [from, from + count), each `every`th one of another class. */
static void stand_write(const char *source, unsigned from, unsigned count, unsigned every)
{
    dv_spool *spool = NULL;
    char text[256];
    assert_int_equal(
        dv_spool_open(stand.spool, source, stand.keys.public_key, 64 << 20, &spool, NULL), DV_OK);
    for (unsigned i = from; i < from + count; i++) {
        const char *kind = i % every == 0 ? "data.finding" : "request.open";
        assert_int_equal(dv_spool_append(spool, stand_event(i, kind, text), false), DV_OK);
    }
    dv_spool_close(spool);
}

/* The kinds of events that begin as `findings` says have a log of their own; NULL: none. */
static dv_result stand_open(size_t batch, const char *findings, dv_sequencer **ret_sequencer,
                            dv_error *error)
{
    dv_sequencer_options options = {
        .log_folder = stand.log,
        .spools = {stand.spool, NULL},
        .keys = &stand.keys,
        .signer = &stand.signer,
        .batch_bytes = batch,
    };
    DV_TRY(dv_sequencer_open(&options, ret_sequencer, error));
    return findings == NULL ? DV_OK
                            : dv_sequencer_route(*ret_sequencer, findings, "findings", error);
}
