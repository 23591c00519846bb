/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/vaults.h"

#include "base/caps.h"
#include "base/clock.h"
#include "crypto/random.h"
#include "engine/detect/action/action.h"

#include <sys/stat.h>

enum { VAULTS_MEMORY = 1 << 20, VAULT_NAME_MAX = 64, VAULT_PATH_MAX = 4000 };

struct dv_data_vaults {
    dv_arena *arena;
    dv_data_vault items[DV_LIMIT_DATA_VAULTS];
    size_t count;
};

static void vaults_release(dv_data_vaults *vaults)
{
    for (size_t i = 0; i < vaults->count; i++) {
        dv_data_vault_close(&vaults->items[i]);
    }
    dv_arena_free(vaults->arena);
}

dv_result dv_data_vaults_new(dv_data_vaults **ret_vaults)
{
    dv_data_vaults *vaults = calloc(1, sizeof(*vaults));
    if (vaults == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_vaults = vaults;
    return DV_OK;
}

void dv_data_vaults_free(dv_data_vaults *vaults)
{
    if (vaults != NULL) {
        vaults_release(vaults);
        free(vaults);
    }
}

/* --- the section ----------------------------------------------------------------------------- */

static bool is_name(const char *text)
{
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    bool begins = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= '0' && text[0] <= '9');
    return begins && good <= VAULT_NAME_MAX && text[good] == '\0';
}

static dv_result text_read(dv_arena *arena, const dv_yaml *map, const char *key,
                           const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    const char *text = NULL;
    if (node == NULL) {
        return dv_yaml_refuse(map, error,
                              "data_vaults: each vault has a name and a key, and a file unless its "
                              "tokens are all sealed");
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    *ret_text = dv_arena_printf(arena, "%s", text);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result path_read(dv_arena *arena, const dv_yaml *map, const char *key,
                           const char **ret_path, dv_error *error)
{
    DV_TRY(text_read(arena, map, key, ret_path, error));
    return (*ret_path)[0] == '/' && strlen(*ret_path) <= VAULT_PATH_MAX
               ? DV_OK
               : dv_yaml_refuse(dv_yaml_get(map, key), error,
                                "data_vaults: %s is a whole path, from / on", key);
}

/* A hold or rule of one name would not count for the other. */
static dv_result file_check(const dv_data_vaults *vaults, const char *file, const dv_yaml *node,
                            dv_error *error)
{
    struct stat about, other;
    bool there = stat(file, &about) == 0;
    for (size_t i = 0; i < vaults->count; i++) {
        const dv_data_vault *one = &vaults->items[i];
        bool same = strcmp(one->file, file) == 0 ||
                    (there && stat(one->file, &other) == 0 && other.st_dev == about.st_dev &&
                     other.st_ino == about.st_ino);
        if (same) {
            return dv_yaml_refuse(node, error, "data_vaults: this is the file of %s already",
                                  one->name);
        }
    }
    return DV_OK;
}

static dv_result vault_read(dv_data_vaults *vaults, const dv_yaml *map, dv_error *error)
{
    static const char *const keys[] = {"name", "file", "key", NULL};
    if (vaults->count == DV_LIMIT_DATA_VAULTS) {
        return dv_yaml_refuse(map, error, "data_vaults: more than %d vaults", DV_LIMIT_DATA_VAULTS);
    }
    dv_data_vault *vault = &vaults->items[vaults->count];
    *vault = (dv_data_vault){.open = NULL};
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(text_read(vaults->arena, map, "name", &vault->name, error));
    if (!is_name(vault->name)) {
        return dv_yaml_refuse(dv_yaml_get(map, "name"), error,
                              "data_vaults: a name has %d small letters, digits, '.', '_' and '-' "
                              "at most, and begins with a letter or digit",
                              VAULT_NAME_MAX);
    }
    if (dv_data_vault_find(vaults, vault->name) != NULL) {
        return dv_yaml_refuse(map, error, "data_vaults: two vaults are called %s", vault->name);
    }
    vault->file = "";
    DV_TRY(path_read(vaults->arena, map, "key", &vault->key, error));
    if (dv_yaml_get(map, "file") != NULL) {
        DV_TRY(path_read(vaults->arena, map, "file", &vault->file, error));
        DV_TRY(file_check(vaults, vault->file, dv_yaml_get(map, "file"), error));
    }
    vaults->count++;
    return DV_OK;
}

static dv_result section_read(dv_data_vaults *vaults, const dv_yaml *section, dv_error *error)
{
    if (section != NULL && section->type != DV_YAML_LIST) {
        return dv_yaml_refuse(section, error, "data_vaults is a list of vaults");
    }
    for (const dv_yaml *one = section == NULL ? NULL : section->first; one != NULL;
         one = one->next) {
        DV_TRY(vault_read(vaults, one, error));
    }
    return DV_OK;
}

dv_result dv_data_vaults_set(dv_data_vaults *vaults, const dv_yaml *section, dv_error *error)
{
    dv_data_vaults wanted = {.arena = dv_arena_new(VAULTS_MEMORY)};
    dv_result result =
        wanted.arena == NULL ? DV_ERR_NO_MEMORY : section_read(&wanted, section, error);
    if (result != DV_OK) {
        dv_arena_free(wanted.arena);
        return result;
    }
    vaults_release(vaults);
    *vaults = wanted;
    return DV_OK;
}

static dv_result check(const dv_yaml *section, dv_error *error)
{
    dv_data_vaults vaults = {.arena = NULL};
    dv_result result = dv_data_vaults_set(&vaults, section, error);
    vaults_release(&vaults);
    return result;
}

static dv_result apply(const dv_yaml *section, dv_services *services, dv_error *error)
{
    return dv_data_vaults_set(services->vaults, section, error);
}

const dv_config_section dv_data_config_vaults = {"data_vaults", check, apply};

/* --- one vault ------------------------------------------------------------------------------- */

size_t dv_data_vault_count(const dv_data_vaults *vaults)
{
    return vaults->count;
}

dv_data_vault *dv_data_vault_at(dv_data_vaults *vaults, size_t index)
{
    return &vaults->items[index];
}

dv_data_vault *dv_data_vault_find(dv_data_vaults *vaults, const char *name)
{
    for (size_t i = 0; i < vaults->count; i++) {
        if (strcmp(vaults->items[i].name, name) == 0) {
            return &vaults->items[i];
        }
    }
    return NULL;
}

dv_data_vault *dv_data_vault_find_file(dv_data_vaults *vaults, const char *name)
{
    dv_data_vault *vault = dv_data_vault_find(vaults, name);
    return vault != NULL && vault->file[0] != '\0' ? vault : NULL;
}

void dv_data_vault_close(dv_data_vault *vault)
{
    dv_vault_free(vault->open);
    vault->open = NULL;
    dv_wipe(vault->opened_with, sizeof(vault->opened_with));
}

/* A change within a tick of the file system's clock would not show. */
static bool shows_changes(const struct stat *file)
{
    return dv_time_now() / DV_SECOND - file->st_ctim.tv_sec > 2;
}

static bool is_unchanged(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev &&
           one->st_size == other->st_size && one->st_ctim.tv_sec == other->st_ctim.tv_sec &&
           one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

/* Damage at the end of a large vault costs as much as reading all of it: once, not for each call
 * that wants it, while all others wait. */
static dv_result open_anew(dv_data_vault *vault, const uint8_t *key, dv_error *error)
{
    struct stat file;
    dv_data_vault_close(vault);
    bool there = lstat(vault->file, &file) == 0;
    if (there && vault->damaged.st_ino != 0 && is_unchanged(&file, &vault->damaged)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s", vault->damage);
    }
    vault->damaged.st_ino = 0;
    dv_result result = dv_vault_view(vault->file, key, DV_LIMIT_DATA_VAULT, &vault->open, error);
    if (result == DV_OK) {
        memcpy(vault->opened_with, key, sizeof(vault->opened_with));
    } else if (result == DV_ERR_CORRUPT && there && shows_changes(&file)) {
        vault->damaged = file;
        (void)snprintf(vault->damage, sizeof(vault->damage), "%s", error->message);
    }
    return result;
}

static dv_result ready(dv_data_vault *vault, dv_error *error)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_error unused = {0};
    dv_result result = dv_action_key_read(vault->key, key, error);
    if (result != DV_OK) {
        dv_data_vault_close(vault);
        return result;
    }
    bool same =
        vault->open != NULL && dv_equal_constant_time(dv_slice_of(key, sizeof(key)),
                                                      dv_slice_of(vault->opened_with, sizeof(key)));
    if (!same || dv_vault_refresh(vault->open, vault->file, &unused) != DV_OK) {
        result = open_anew(vault, key, error);
    }
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result explain(const dv_data_vault *vault, dv_result result, const dv_error *why,
                         dv_error *error)
{
    return result == DV_OK || result == DV_ERR_NO_MEMORY
               ? result
               : dv_error_set(error, DV_ERR_UNAVAILABLE, "the vault %s can't be read: %s",
                              vault->name,
                              why->message[0] != '\0' ? why->message : dv_result_name(result));
}

dv_result dv_data_vault_ready(dv_data_vault *vault, dv_error *error)
{
    dv_error why = {0};
    return explain(vault, ready(vault, &why), &why, error);
}

dv_result dv_data_vault_opener(const dv_data_vault *vault, dv_siv **ret_siv, dv_error *error)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    dv_error why = {0};
    dv_result result = dv_action_key_read(vault->key, key, &why);
    if (result == DV_OK) {
        result = dv_sealed_new(key, ret_siv);
    }
    dv_wipe(key, sizeof(key));
    return explain(vault, result, &why, error);
}
