/* SPDX-License-Identifier: Apache-2.0 */
#include "../pieces.h"

#include "engine/detect/action/vault.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Any bytes behind the records of a vault, or as one: what was committed is never cut off, and what
 * opens gives and takes tokens. */

static const uint8_t key[32] = {7};

static const char *place(void)
{
    static char path[64];
    if (path[0] == '\0') {
        const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(path, sizeof(path), "%s/dvara-fuzz-vault-%d", folder, (int)getpid());
    }
    return path;
}

static void append(const char *path, dv_slice bytes)
{
    FILE *file = fopen(path, "ae");
    require(file != NULL && fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len);
    require(fclose(file) == 0);
}

/* A vault with some values, the last of them not committed. */
static off_t begin(const char *path, size_t values)
{
    dv_auto(vault) dv_vault *vault = NULL;
    dv_auto(buf) dv_buf token = dv_buf_init(4096);
    struct stat about;
    require(dv_vault_open(path, key, true, &vault, NULL) == DV_OK);
    for (size_t i = 0; i < values; i++) {
        char value[32];
        snprintf(value, sizeof(value), "value %zu", i);
        require(dv_vault_token(vault, dv_slice_str(value), &token) == DV_OK);
        require(i + 1 == values || dv_vault_commit(vault, NULL) == DV_OK);
    }
    require(stat(path, &about) == 0);
    return about.st_size;
}

/* A view takes what a reader takes, or less of it; it changes nothing. */
static void look(const char *path)
{
    dv_auto(vault) dv_vault *vault = NULL, *view = NULL;
    dv_error error = {0};
    bool viewed = dv_vault_view(path, key, UINT64_MAX, &view, &error) == DV_OK;
    bool opened = dv_vault_open(path, key, false, &vault, &error) == DV_OK;
    require(viewed == opened);
    require(!viewed || dv_vault_count(view) <= dv_vault_count(vault));
    require(!viewed || dv_vault_refresh(view, path, &error) == DV_OK);
}

/* Whether it opened. */
static bool use(const char *path)
{
    dv_auto(vault) dv_vault *vault = NULL;
    dv_auto(buf) dv_buf token = dv_buf_init(4096), value = dv_buf_init(DV_VAULT_VALUE_MAX + 64);
    dv_error error = {0};
    dv_result result = dv_vault_open(path, key, true, &vault, &error);
    require(result == DV_OK || result == DV_ERR_NO_MEMORY || error.message[0] != '\0');
    if (result != DV_OK) {
        return false;
    }
    require(dv_vault_token(vault, DV_LIT("new"), &token) == DV_OK);
    require(dv_vault_open_token(vault, dv_buf_slice(&token), &value) == DV_OK);
    require(dv_slice_eq_str(dv_buf_slice(&value), "new"));
    require(dv_vault_commit(vault, NULL) == DV_OK);
    return true;
}

static bool is_new(const void *data, dv_slice token, dv_time made)
{
    (void)token;
    return made >= *(const dv_time *)data;
}

/* One entry goes and the others stay, or the vault stays as it is. */
static void rewrite(const char *path, dv_time since)
{
    static const char run[] = "0190b8a4-1111-7000-8000-000000000001";
    dv_auto(vault) dv_vault *vault = NULL;
    dv_error error = {0};
    dv_vault_tally tally = {0};
    struct stat before, after;
    require(dv_vault_open(path, key, true, &vault, &error) == DV_OK);
    size_t count = dv_vault_count(vault);
    require(stat(path, &before) == 0);
    dv_result result = dv_vault_rewrite(vault, is_new, &since, run, &tally, &error);
    if (result == DV_OK) {
        require(tally.going >= 1 && tally.going + tally.left == count);
        require(dv_vault_exchange(vault, &error) == DV_OK);
        dv_vault_free(vault);
        vault = NULL;
        require(dv_vault_open(path, key, false, &vault, &error) == DV_OK);
        require(dv_vault_count(vault) == tally.left);
        require(strcmp(dv_vault_last_removal(vault)->run, run) == 0);
        return;
    }
    require(result == DV_ERR_CORRUPT && error.message[0] != '\0');
    require(stat(path, &after) == 0 && after.st_ino == before.st_ino);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = place();
    dv_slice bytes = dv_slice_of(data, size);
    struct stat before, after;
    if (size == 0) {
        return 0;
    }
    (void)unlink(path);
    size_t values = data[0] % 4;
    bool alone = data[0] >= 128; /* the bytes are all of it */
    off_t whole = alone ? 0 : begin(path, values);
    append(path, dv_slice_sub(bytes, 1, size));
    require(stat(path, &before) == 0);
    look(path);
    dv_time since = dv_time_now();
    bool opened = use(path);
    require(stat(path, &after) == 0);
    /* A refused one stays as it is; another one keeps its records and got one more. */
    require(opened ? after.st_size > whole : after.st_size == before.st_size);
    require(alone || opened); /* nothing behind what was committed does harm */
    if (opened) {
        rewrite(path, since);
    }
    (void)unlink(path);
    return 0;
}
