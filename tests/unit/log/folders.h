/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A spool and a log of a test's own, in memory where there is some, with keys. */

#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/sequencer.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], spool_folder[80], log_folder[80];
static dv_log_keys keys;
static dv_tree_signer signer;

static int make_folders(void **state)
{
    uint8_t public_key[32];
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(root, sizeof(root), "%s/dvara-log-XXXXXX", base);
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", root);
    snprintf(log_folder, sizeof(log_folder), "%s/log", root);
    dv_box_keypair(keys.public_key, keys.secret_key);
    dv_random(signer.seed, sizeof(signer.seed));
    if (dv_ed25519_public(signer.seed, public_key) != DV_OK ||
        dv_note_verifier_init("dvara.test/log", public_key, &signer.verifier) != DV_OK) {
        return -1;
    }
    return mkdir(spool_folder, 0700);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_folders(void **state)
{
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
