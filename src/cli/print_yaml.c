/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print_yaml.h"

#include "cli/visible.h"

#include <yaml.h>

static dv_result emit(yaml_emitter_t *emitter, int made, yaml_event_t *event)
{
    if (!made) {
        return DV_ERR_NO_MEMORY;
    }
    return yaml_emitter_emit(emitter, event) ? DV_OK : DV_ERR_IO;
}

static dv_result emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len, bool quoted)
{
    yaml_event_t event;
    yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
    return emit(emitter,
                yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                             (int)len, !quoted, quoted, style),
                &event);
}

/* Names that no reader can take for anything else stay without quotes. */
static bool is_plain_key(const char *key)
{
    static const char *const words[] = {"y",   "n",    "yes",  "no",    "on",
                                        "off", "true", "null", "false", NULL};
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyz_");
    for (const char *const *word = words; *word != NULL; word++) {
        if (strcmp(key, *word) == 0) {
            return false;
        }
    }
    return len > 0 && key[len] == '\0';
}

static dv_result emit_value(yaml_emitter_t *emitter, const json_t *value);

static dv_result emit_array(yaml_emitter_t *emitter, const json_t *array)
{
    yaml_event_t event;
    DV_TRY(
        emit(emitter,
             yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE),
             &event));
    for (size_t i = 0; i < json_array_size(array); i++) {
        DV_TRY(emit_value(emitter, json_array_get(array, i)));
    }
    return emit(emitter, yaml_sequence_end_event_initialize(&event), &event);
}

static dv_result emit_object(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *value;
    DV_TRY(
        emit(emitter,
             yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
             &event));
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        DV_TRY(emit_scalar(emitter, key, strlen(key), !is_plain_key(key)));
        DV_TRY(emit_value(emitter, value));
    }
    return emit(emitter, yaml_mapping_end_event_initialize(&event), &event);
}

static dv_result emit_value(yaml_emitter_t *emitter, const json_t *value)
{
    char text[64];
    if (json_is_object(value)) {
        return emit_object(emitter, value);
    }
    if (json_is_array(value)) {
        return emit_array(emitter, value);
    }
    if (json_is_string(value)) {
        return emit_scalar(emitter, json_string_value(value), json_string_length(value), true);
    }
    size_t len = json_dumpb(value, text, sizeof(text), JSON_ENCODE_ANY);
    return len <= sizeof(text) ? emit_scalar(emitter, text, len, false) : DV_ERR_INTERNAL;
}

static dv_result emit_document(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    DV_TRY(emit(emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event));
    DV_TRY(
        emit(emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event));
    DV_TRY(emit_value(emitter, value));
    DV_TRY(emit(emitter, yaml_document_end_event_initialize(&event, 1), &event));
    return emit(emitter, yaml_stream_end_event_initialize(&event), &event);
}

/* Libyaml writes whole characters. Hidden ones that it leaves stand between double quotes, where
 * \u001b is YAML, too (YAML 1.2.2 section 5.7). */
static int write_visible(void *data, unsigned char *text, size_t len)
{
    FILE *out = data;
    dv_visible_write_slice(out, dv_slice_of(text, len));
    return !ferror(out);
}

dv_result dv_cli_print_yaml(FILE *out, const json_t *value)
{
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter)) {
        return DV_ERR_NO_MEMORY;
    }
    yaml_emitter_set_output(&emitter, write_visible, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    dv_result result = emit_document(&emitter, value);
    yaml_emitter_delete(&emitter);
    return result;
}
