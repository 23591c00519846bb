/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as entities and as a context. What is read is found again, no entity is its own
 * ancestor, and every value equals itself. */
#include "engine/cedar/entities.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_value(const dv_cedar_value *value)
{
    require(dv_cedar_compare(value, value) == 0);
    for (uint32_t i = 0; value->type == DV_CEDAR_SET && i < value->count; i++) {
        check_value(&value->items[i]);
        require(i == 0 || dv_cedar_compare(&value->items[i - 1], &value->items[i]) < 0);
    }
    for (uint32_t i = 0; value->type == DV_CEDAR_RECORD && i < value->count; i++) {
        check_value(&value->attrs[i].value);
        require(dv_cedar_get(value, value->attrs[i].name) == &value->attrs[i].value);
    }
}

static void check_entities(const dv_cedar_entities *entities, dv_slice text)
{
    dv_cedar_entity entity = {0}, above = {0};

    /* Whatever stands in the text as a canonical uid may be asked for. */
    if (!dv_cedar_entities_lookup((void *)entities, DV_LIT("U::\"a\""), &entity)) {
        require(text.len == 0 || dv_cedar_entities_count(entities) < text.len);
        return;
    }
    for (size_t i = 0; i < entity.ancestor_count; i++) {
        require(!dv_slice_eq(entity.ancestors[i], entity.uid));
        if (dv_cedar_entities_lookup((void *)entities, entity.ancestors[i], &above)) {
            require(above.ancestor_count < entity.ancestor_count);
        }
    }
    if (entity.attributes != NULL) {
        check_value(entity.attributes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)1 << 30);
    dv_slice text = dv_slice_of(data, size);
    const dv_cedar_entities *entities = NULL;
    dv_cedar_value record;
    dv_error error = {0};

    require(arena != NULL);
    if (dv_cedar_entities_parse(text, NULL, arena, &entities, &error) == DV_OK) {
        check_entities(entities, text);
    } else {
        require(error.result != DV_OK && error.message[0] != '\0');
    }
    error = (dv_error){0};
    if (dv_cedar_record_parse(text, arena, &record, &error) == DV_OK) {
        check_value(&record);
    } else {
        require(error.result != DV_OK && error.message[0] != '\0');
    }
    return 0;
}
