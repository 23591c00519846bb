/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/position.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"

#include <jansson.h>

enum { FILE_MAX = 1 << 20, VERSION = 1 };

static dv_result corrupt(const char *path, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "%s is no position of an export: remove it to send everything again", path);
}

static dv_result make_room(dv_export_position *position)
{
    if (position->alerts == NULL) {
        position->alerts = calloc(DV_EXPORT_ALERTS_MAX, sizeof(*position->alerts));
    }
    return position->alerts != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_alerts(const json_t *list, dv_export_position *position)
{
    size_t i;
    json_t *item;
    DV_TRY(make_room(position));
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *uid;
        json_int_t time, index;
        if (i == DV_EXPORT_ALERTS_MAX || json_unpack(item, "{s:s, s:I, s:I}", "uid", &uid, "index",
                                                     &index, "time", &time) != 0) {
            return DV_ERR_CORRUPT;
        }
        dv_export_alert *alert = &position->alerts[position->alert_count++];
        dv_slice_copy(dv_slice_str(uid), alert->uid, sizeof(alert->uid));
        alert->index = (uint64_t)index;
        alert->time = time;
    }
    return DV_OK;
}

static dv_result read_members(json_t *root, dv_export_position *position)
{
    json_int_t version, next, sent, refused, lost, repeated;
    const char *origin;
    json_t *alerts;
    if (json_unpack(root, "{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "version", &version, "origin",
                    &origin, "next", &next, "sent", &sent, "refused", &refused, "lost", &lost,
                    "repeated", &repeated, "alerts", &alerts) != 0 ||
        version != VERSION || next < 0 || strlen(origin) >= sizeof(position->origin)) {
        return DV_ERR_CORRUPT;
    }
    memcpy(position->origin, origin, strlen(origin) + 1);
    position->next = (uint64_t)next;
    position->sent = (uint64_t)sent;
    position->refused = (uint64_t)refused;
    position->lost = (uint64_t)lost;
    position->repeated = (uint64_t)repeated;
    return read_alerts(alerts, position);
}

dv_result dv_export_position_load(const char *path, dv_export_position *ret_position,
                                  dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(FILE_MAX);
    dv_export_position position = {.origin = ""};
    dv_result result = dv_file_read(path, &text, error);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_position = position;
        return DV_OK;
    }
    if (result == DV_ERR_TOO_LARGE) {
        return corrupt(path, error);
    }
    DV_TRY(result);
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    result = read_members(root, &position);
    json_decref(root);
    if (result != DV_OK) {
        dv_export_position_release(&position);
        return result == DV_ERR_CORRUPT ? corrupt(path, error) : result;
    }
    *ret_position = position;
    return DV_OK;
}

static json_t *alerts_json(const dv_export_position *position)
{
    json_t *list = json_array();
    for (size_t i = 0; i < position->alert_count; i++) {
        const dv_export_alert *alert = &position->alerts[i];
        json_t *item = json_pack("{s:s, s:I, s:I}", "uid", alert->uid, "index",
                                 (json_int_t)alert->index, "time", (json_int_t)alert->time);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

dv_result dv_export_position_save(const char *path, const dv_export_position *position,
                                  dv_error *error)
{
    json_t *root = json_pack(
        "{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "version", (json_int_t)VERSION, "origin",
        position->origin, "next", (json_int_t)position->next, "sent", (json_int_t)position->sent,
        "refused", (json_int_t)position->refused, "lost", (json_int_t)position->lost, "repeated",
        (json_int_t)position->repeated, "alerts", alerts_json(position));
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_file_write_atomic(path, dv_slice_str(text), 0600, error);
    free(text);
    return result;
}

void dv_export_position_release(dv_export_position *position)
{
    free(position->alerts);
    position->alerts = NULL;
    position->alert_count = 0;
}

/* Long ones are kept as their hash: a cut one could be taken for another. */
static dv_result keep_uid(dv_slice uid, char out[DV_EXPORT_ALERT_UID_MAX])
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * DV_SHA256_LEN);
    if (uid.len < DV_EXPORT_ALERT_UID_MAX) {
        dv_slice_copy(uid, out, DV_EXPORT_ALERT_UID_MAX);
        return DV_OK;
    }
    dv_sha256(uid, dv_slice_str(NULL), dv_slice_str(NULL), digest);
    DV_TRY(dv_hex_encode(dv_slice_of(digest, sizeof(digest)), &hex));
    dv_slice_copy(dv_buf_slice(&hex), out, DV_EXPORT_ALERT_UID_MAX);
    return DV_OK;
}

static void drop(dv_export_position *position, size_t index)
{
    size_t after = position->alert_count - index - 1;
    memmove(&position->alerts[index], &position->alerts[index + 1],
            after * sizeof(*position->alerts));
    position->alert_count--;
}

static dv_export_alert *find(dv_export_position *position, const char *uid)
{
    for (size_t i = 0; i < position->alert_count; i++) {
        if (strcmp(position->alerts[i].uid, uid) == 0) {
            return &position->alerts[i];
        }
    }
    return NULL;
}

dv_result dv_export_alert_note(dv_export_position *position, dv_slice uid, uint64_t index,
                               int64_t time, dv_time repeat, bool *ret_told)
{
    dv_export_alert now = {.index = index, .time = time};
    DV_TRY(make_room(position));
    DV_TRY(keep_uid(uid, now.uid));
    dv_export_alert *known = find(position, now.uid);
    *ret_told =
        known != NULL && known->index < index && time - known->time < repeat / DV_MILLISECOND;
    if (*ret_told || (known != NULL && known->index >= index)) {
        return DV_OK;
    }
    if (known != NULL) {
        drop(position, (size_t)(known - position->alerts));
    } else if (position->alert_count == DV_EXPORT_ALERTS_MAX) {
        drop(position, 0);
    }
    position->alerts[position->alert_count++] = now;
    return DV_OK;
}
