/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/keys.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "core/event.h"
#include "crypto/keystore.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TOLD_MAX = 64, TOLD_MODE = 0600, SECRET_MAX = 4096, DETAIL_MAX = 256 };

static const dv_time a_day = 86400 * DV_SECOND;

struct dv_data_keys {
    char *folder;
    dv_key_period period;
    struct timespec seen; /* of the file when all of it was told and nothing was due */
    dv_time next_due;     /* of what was seen */
    dv_time alarmed;      /* when it was last told that keys can not be rotated */
    bool refused;         /* the token's PIN was wrong: another try may lock the token */
};

/* -- how often --------------------------------------------------------------------------------- */

dv_result dv_key_period_read(const dv_yaml *node, dv_key_period *ret_period, dv_error *error)
{
    static const struct {
        const char *name;
        dv_key_period period;
    } known[] = {{"daily", {0, 86400 * DV_SECOND}},
                 {"weekly", {0, 7 * 86400 * DV_SECOND}},
                 {"monthly", {1, 0}},
                 {"quarterly", {3, 0}},
                 {"yearly", {12, 0}}};
    const char *text = NULL;
    dv_key_period period = {0};
    DV_TRY(dv_yaml_string(node, &text, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (strcmp(text, known[i].name) == 0) {
            *ret_period = known[i].period;
            return DV_OK;
        }
    }
    if (dv_duration_parse(dv_slice_str(text), &period.time) != DV_OK || period.time < a_day) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "key_rotation '%.32s': daily, weekly, monthly, quarterly, yearly, "
                               "or a time of at least 1d",
                               text);
    }
    *ret_period = period;
    return DV_OK;
}

dv_time dv_key_period_end(const dv_key_period *period, dv_time created)
{
    enum { DAY_OF_EVERY_MONTH = 28 };
    struct tm date;
    time_t seconds = (time_t)(created / DV_SECOND);
    if (period->months == 0) {
        return period->time == 0 || created > DV_TIME_NEVER - period->time ? DV_TIME_NEVER
                                                                           : created + period->time;
    }
    if (gmtime_r(&seconds, &date) == NULL) {
        return DV_TIME_NEVER;
    }
    date.tm_mon += (int)period->months;
    date.tm_mday = DV_MIN(date.tm_mday, DAY_OF_EVERY_MONTH);
    return (dv_time)timegm(&date) * DV_SECOND;
}

/* -- opening and closing ----------------------------------------------------------------------- */

dv_result dv_data_keys_new(const char *state_dir, dv_data_keys **ret_keys)
{
    dv_data_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL || asprintf(&keys->folder, "%s/keystore", state_dir) < 0) {
        free(keys);
        return DV_ERR_NO_MEMORY;
    }
    *ret_keys = keys;
    return DV_OK;
}

void dv_data_keys_free(dv_data_keys *keys)
{
    if (keys != NULL) {
        free(keys->folder);
        free(keys);
    }
}

static dv_result check_token(const char *folder, bool find, dv_error *error)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    dv_result result = dv_keystore_open(folder, DV_KEYSTORE_READ, &keystore, error);
    if (result == DV_ERR_NOT_FOUND ||
        (result == DV_OK && dv_keystore_protected_by(keystore) != DV_KEYSTORE_TOKEN)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "there is no keystore in a token: `dvara key generate --protect token "
                            "--token LABEL` makes one; or write key_storage: file");
    }
    DV_TRY(result);
    return find ? dv_keystore_check_token(keystore, error) : DV_OK;
}

static dv_result check_storage(const char *folder, const dv_yaml *encryption, bool find,
                               dv_error *error)
{
    char why[DV_ERROR_MESSAGE_MAX];
    const dv_yaml *storage = encryption == NULL ? NULL : dv_yaml_get(encryption, "key_storage");
    if (storage == NULL || storage->text == NULL || strcmp(storage->text, "HSM") != 0) {
        return DV_OK;
    }
    dv_error found = {0};
    if (check_token(folder, find, &found) == DV_OK) {
        return DV_OK;
    }
    snprintf(why, sizeof(why), "%s", found.message);
    return dv_error_set_at(error, DV_ERR_INVALID, storage->line, storage->column,
                           "key_storage is HSM, but %.300s: Dvara does not start with its keys "
                           "elsewhere than you said",
                           why);
}

dv_result dv_data_keys_check(const char *state_dir, const dv_yaml *encryption, bool find,
                             dv_error *error)
{
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s/keystore", state_dir) >= (int)sizeof(folder)) {
        return DV_ERR_INVALID;
    }
    return check_storage(folder, encryption, find, error);
}

dv_result dv_data_keys_set(dv_data_keys *keys, const dv_yaml *encryption, dv_error *error)
{
    dv_key_period period = {0};
    const dv_yaml *rotation = encryption == NULL ? NULL : dv_yaml_get(encryption, "key_rotation");
    if (rotation != NULL) {
        DV_TRY(dv_key_period_read(rotation, &period, error));
    }
    DV_TRY(check_storage(keys->folder, encryption, true, error));
    keys->period = period;
    keys->seen = (struct timespec){0};
    keys->alarmed = 0;
    keys->refused = false;
    return DV_OK;
}

/* -- telling ----------------------------------------------------------------------------------- */

static dv_result told_path(const dv_data_keys *keys, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/told", keys->folder) < PATH_MAX ? DV_OK : DV_ERR_INVALID;
}

/* "ID NUMBER": of which keystore, up to which event. Where it can't be read, or is another
 * keystore's, all is told: twice is better than never. */
static dv_result format_id(const dv_keystore *keystore, dv_buf *out)
{
    return dv_hex_encode(dv_slice_of(dv_keystore_id(keystore), DV_KEY_ID_LEN), out);
}

static uint64_t read_told(const dv_data_keys *keys, const dv_keystore *keystore)
{
    char path[PATH_MAX];
    dv_slice word, rest;
    dv_auto(buf) dv_buf text = dv_buf_init(TOLD_MAX), id = dv_buf_init(TOLD_MAX);
    if (told_path(keys, path) != DV_OK || dv_file_read(path, &text, NULL) != DV_OK ||
        dv_buf_cstr(&text) == NULL || format_id(keystore, &id) != DV_OK) {
        return 0;
    }
    rest = dv_buf_slice(&text);
    if (!dv_slice_split(&rest, ' ', &word) || !dv_slice_eq(word, dv_buf_slice(&id)) ||
        rest.len == 0) {
        return 0;
    }
    return strtoull((const char *)rest.ptr, NULL, 10);
}

static dv_result write_told(const dv_data_keys *keys, const dv_keystore *keystore, uint64_t told,
                            dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(TOLD_MAX);
    DV_TRY(told_path(keys, path));
    DV_TRY(format_id(keystore, &text));
    DV_TRY(dv_buf_append_printf(&text, " %llu\n", (unsigned long long)told));
    return dv_file_write_atomic(path, dv_buf_slice(&text), TOLD_MODE, error);
}

static void who(uint32_t user, char out[DETAIL_MAX])
{
    const struct passwd *entry = user == DV_KEY_BY_DVARA ? NULL : getpwuid((uid_t)user);
    if (user == DV_KEY_BY_DVARA) {
        snprintf(out, DETAIL_MAX, "System::\"dvarad\"");
    } else if (entry != NULL) {
        snprintf(out, DETAIL_MAX, "Local::\"%.128s\"", entry->pw_name);
    } else {
        snprintf(out, DETAIL_MAX, "Local::\"%u\"", user);
    }
}

static dv_result record(const dv_services *services, const dv_key_event *happened, dv_error *error)
{
    static const struct {
        const char *name;
        dv_entity_activity activity;
    } activities[] = {
        [DV_KEY_GENERATED] = {"generated", DV_ENTITY_CREATE},
        [DV_KEY_ROTATED] = {"rotated", DV_ENTITY_UPDATE},
        [DV_KEY_DESTROYED] = {"destroyed", DV_ENTITY_DELETE},
        [DV_KEY_EXPORTED] = {"exported", DV_ENTITY_READ},
        [DV_KEY_IMPORTED] = {"imported", DV_ENTITY_CREATE},
    };
    char actor_name[DETAIL_MAX], change[DETAIL_MAX];
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD), id = dv_buf_init(64);
    DV_TRY(dv_hex_encode(dv_slice_of(happened->key, sizeof(happened->key)), &id));
    who(happened->user, actor_name);
    int len = snprintf(change, sizeof(change), "{\"%s\":true,\"key\":\"%.*s\",\"version\":%u}",
                       activities[happened->activity].name, DV_SLICE_ARGS(dv_buf_slice(&id)),
                       happened->version);
    dv_event_actor actor = {.time = happened->time,
                            .entity = dv_slice_str(actor_name),
                            .via = DV_LIT("control"),
                            .result = DV_OK};
    dv_event_entity entity = {.type = DV_LIT("encryption_key"),
                              .id = dv_slice_str(happened->name),
                              .change = dv_slice_of(change, (size_t)len)};
    DV_TRY(dv_event_entity_change(&out, &actor, activities[happened->activity].activity, &entity));
    dv_result result = services->events.append(services->events.data, dv_buf_slice(&out));
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, result,
                                          "what happened to key %s could not be "
                                          "recorded",
                                          happened->name);
}

static dv_result raise_alarm(const dv_services *services, dv_time now, const char *rule,
                             const char *title, dv_error *error)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {
        .time = now, .entity = DV_LIT("System::\"dvarad\""), .via = DV_LIT("control")};
    DV_TRY(dv_event_alarm(&out, &actor, dv_slice_str(rule), dv_slice_str(title)));
    dv_result result = services->events.append(services->events.data, dv_buf_slice(&out));
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result, "an alarm could not be recorded: %.200s", title);
}

/* Where an older copy of the keystore was put back, the numbers of what happens from there on were
 * told of something else before: all is told once more. */
static dv_result tell_of_return(const dv_services *services, const dv_keystore *keystore,
                                uint64_t *told, dv_time now, dv_error *error)
{
    char title[DETAIL_MAX];
    size_t count = dv_keystore_event_count(keystore);
    uint64_t last = count == 0 ? 0 : dv_keystore_event(keystore, count - 1)->number;
    if (last >= *told) {
        return DV_OK;
    }
    snprintf(title, sizeof(title),
             "an older copy of the keystore was put back: %llu changes of keys are not in it",
             (unsigned long long)(*told - last));
    DV_TRY(raise_alarm(services, now, "data.key_journal", title, error));
    *told = count == 0 ? 0 : dv_keystore_event(keystore, 0)->number - 1;
    return DV_OK;
}

/* The journal forgets its oldest events: that there were such is told. */
static dv_result tell_of_gap(const dv_services *services, const dv_keystore *keystore,
                             uint64_t told, dv_time now, dv_error *error)
{
    char title[DETAIL_MAX];
    uint64_t first = dv_keystore_event(keystore, 0)->number;
    if (first <= told + 1) {
        return DV_OK;
    }
    snprintf(title, sizeof(title), "%llu changes of keys were forgotten before they were told",
             (unsigned long long)(first - told - 1));
    return raise_alarm(services, now, "data.key_journal", title, error);
}

static dv_result tell(const dv_services *services, const dv_data_keys *keys,
                      const dv_keystore *keystore, dv_time now, dv_error *error)
{
    uint64_t told = read_told(keys, keystore), noted = told;
    DV_TRY(tell_of_return(services, keystore, &told, now, error));
    if (told != noted) {
        DV_TRY(write_told(keys, keystore, told, error));
    }
    if (dv_keystore_event_count(keystore) > 0) {
        DV_TRY(tell_of_gap(services, keystore, told, now, error));
    }
    for (size_t i = 0; i < dv_keystore_event_count(keystore); i++) {
        const dv_key_event *happened = dv_keystore_event(keystore, i);
        if (happened->number > told) {
            DV_TRY(record(services, happened, error));
            DV_TRY(write_told(keys, keystore, happened->number, error));
        }
    }
    return DV_OK;
}

/* -- rotating ---------------------------------------------------------------------------------- */

static dv_time due_of(const dv_data_keys *keys, const dv_key *key)
{
    const dv_key_version *active = dv_key_active(key);
    return key->type == DV_KEY_AES256 && active != NULL
               ? dv_key_period_end(&keys->period, active->created)
               : DV_TIME_NEVER;
}

static dv_time first_due(const dv_data_keys *keys, const dv_keystore *keystore)
{
    dv_time first = DV_TIME_NEVER;
    for (size_t i = 0; i < dv_keystore_count(keystore); i++) {
        first = DV_MIN(first, due_of(keys, dv_keystore_at(keystore, i)));
    }
    return first;
}

static dv_result unlock(dv_data_keys *keys, dv_keystore *keystore, dv_error *error)
{
    if (keys->refused) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "the token's PIN was wrong and is not tried again, so that the token "
                            "is not locked: mend the credential dvara-keystore and restart dvarad");
    }
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(SECRET_MAX);
    DV_TRY(dv_buf_reserve(&secret, SECRET_MAX));
    dv_result result = dv_keystore_find_secret(keys->folder, dv_keystore_protected_by(keystore),
                                               NULL, &secret, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "nobody unlocks the keystore: give dvarad the systemd credential "
                            "dvara-keystore, or rotate them with `dvara key rotate`");
    }
    DV_TRY(result);
    result = dv_keystore_unlock(keystore, dv_buf_slice(&secret), error);
    keys->refused =
        result == DV_ERR_FORBIDDEN && dv_keystore_protected_by(keystore) == DV_KEYSTORE_TOKEN;
    return result;
}

static dv_result rotate_due(dv_data_keys *keys, dv_time now, dv_error *error)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_keystore_open(keys->folder, DV_KEYSTORE_CHANGE_NOW, &keystore, error));
    if (first_due(keys, keystore) > now) {
        return DV_OK;
    }
    DV_TRY(unlock(keys, keystore, error));
    dv_keystore_act_as_dvara(keystore);
    for (size_t i = 0; i < dv_keystore_count(keystore); i++) {
        const dv_key *key = dv_keystore_at(keystore, i);
        if (due_of(keys, key) <= now) {
            DV_TRY(dv_keystore_rotate(keystore, key, now, error));
        }
    }
    return dv_keystore_save(keystore, error);
}

static dv_result alarm_about(const dv_services *services, dv_data_keys *keys, dv_time now,
                             const dv_error *why, dv_error *error)
{
    char title[DV_ERROR_MESSAGE_MAX + 64];
    if (keys->alarmed != 0 && now - keys->alarmed < a_day && now >= keys->alarmed) {
        return DV_OK;
    }
    snprintf(title, sizeof(title), "keys that are due are not rotated: %s", why->message);
    DV_TRY(raise_alarm(services, now, "data.key_rotation", title, error));
    keys->alarmed = now;
    return DV_OK;
}

/* -- recurring --------------------------------------------------------------------------------- */

/* Whether anything is to be done: most of the time one look at the file says no. */
static bool is_quiet(const dv_data_keys *keys, const struct stat *about, dv_time now)
{
    return about->st_mtim.tv_sec == keys->seen.tv_sec &&
           about->st_mtim.tv_nsec == keys->seen.tv_nsec && now < keys->next_due;
}

static dv_result look(dv_services *services, dv_data_keys *keys, dv_time now, dv_time *ret_due,
                      dv_error *error)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_keystore_open(keys->folder, DV_KEYSTORE_READ, &keystore, error));
    DV_TRY(tell(services, keys, keystore, now, error));
    *ret_due = first_due(keys, keystore);
    return DV_OK;
}

dv_result dv_data_keys_tick(dv_services *services, dv_time now, dv_error *error)
{
    char path[PATH_MAX];
    struct stat about;
    dv_time due = DV_TIME_NEVER;
    dv_error why = {0};
    dv_data_keys *keys = services->keys;
    if (snprintf(path, sizeof(path), "%s/keys", keys->folder) >= (int)sizeof(path) ||
        stat(path, &about) != 0 || is_quiet(keys, &about, now)) {
        return DV_OK;
    }
    DV_TRY(look(services, keys, now, &due, error));
    if (due <= now) {
        dv_result result = rotate_due(keys, now, &why);
        if (result == DV_ERR_AGAIN) { /* a person changes it: at the next look */
            return DV_OK;
        }
        if (result != DV_OK) {
            return alarm_about(services, keys, now, &why, error);
        }
        return look(services, keys, now, &due, error); /* and tells it */
    }
    keys->seen = about.st_mtim;
    keys->next_due = due;
    return DV_OK;
}
