/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "engine/log/backup_private.h"

static const char heading[] =
    "dvara-backup 1\n"
    "# A backup of a Dvara node. `dvara backup restore` verifies it and puts it back.\n";
static const char sections[] = "section log\nsection log-keys\n";
static const char root_section[] = "section subject-root\n";
static const char node_section[] = "section node\n";

dv_result dv_backup_manifest_format(const dv_backup_manifest *manifest, dv_buf *out)
{
    return dv_buf_append_printf(out, "%smade %s\n%s%s%s", heading, manifest->made, sections,
                                manifest->subject_root ? root_section : "",
                                manifest->node ? node_section : "");
}

static dv_result bad(dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "its file " DV_BACKUP_MANIFEST " is malformed");
}

/* Takes a section off the front, if it is that one. */
static bool take_section(dv_slice *rest, const char *section)
{
    bool is = dv_slice_starts_with(*rest, dv_slice_str(section));
    *rest = dv_slice_sub(*rest, is ? strlen(section) : 0, rest->len);
    return is;
}

dv_result dv_backup_manifest_parse(dv_slice text, dv_backup_manifest *ret_manifest, dv_error *error)
{
    enum { TIME_MAX = 39 };
    dv_time time;
    dv_backup_manifest manifest;
    dv_slice line, rest = dv_slice_sub(text, sizeof(heading) - 1, text.len);
    if (!dv_slice_starts_with(text, dv_slice_str(heading)) || !dv_slice_split(&rest, '\n', &line) ||
        !dv_slice_starts_with(line, DV_LIT("made ")) || line.len - 5 > TIME_MAX ||
        dv_time_parse(dv_slice_sub(line, 5, line.len), &time) != DV_OK) {
        return bad(error);
    }
    dv_slice_copy(dv_slice_sub(line, 5, line.len), manifest.made, TIME_MAX + 1);
    if (!take_section(&rest, sections)) {
        return bad(error);
    }
    manifest.subject_root = take_section(&rest, root_section);
    manifest.node = take_section(&rest, node_section);
    *ret_manifest = manifest;
    return rest.len == 0 ? DV_OK
                         : dv_error_set(error, DV_ERR_UNSUPPORTED,
                                        "it holds sections that this version does not know");
}

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '.' || byte == '_';
}

bool dv_backup_name_is(dv_slice name)
{
    dv_slice part;
    while (dv_slice_split(&name, '/', &part)) {
        if (part.len == 0 || part.ptr[0] == '.') {
            return false;
        }
        for (size_t i = 0; i < part.len; i++) {
            if (!is_name_byte(part.ptr[i])) {
                return false;
            }
        }
    }
    return true;
}

bool dv_backup_node_name_is(const char *name)
{
    return dv_backup_name_is(dv_slice_str(name)) && strcmp(name, "log") != 0 &&
           strcmp(name, "keys") != 0 && strcmp(name, "keys/log") != 0 &&
           strncmp(name, DV_BACKUP_LOG, strlen(DV_BACKUP_LOG)) != 0 &&
           strncmp(name, DV_BACKUP_KEYS, strlen(DV_BACKUP_KEYS)) != 0;
}

bool dv_backup_is_root(const char *name)
{
    return strncmp(name, "root.", 5) == 0;
}

bool dv_backup_is_directory(const char *name)
{
    return strncmp(name, "directory.", 10) == 0;
}
