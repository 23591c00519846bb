/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/value_set.h"

#include "base/siphash.h"
#include "crypto/random.h"

struct dv_value_set {
    uint8_t key[16];
    uint64_t *slots; /* open addressing; 0: free */
    size_t room;     /* a power of two */
    size_t count, most;
    dv_buf spelling;
};

dv_result dv_value_set_new(size_t most, dv_value_set **ret_set)
{
    dv_value_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    set->room = 1024;
    set->most = most;
    set->slots = calloc(set->room, sizeof(*set->slots));
    set->spelling = dv_buf_init(DV_ACTION_VALUE_MAX * 2);
    if (set->slots == NULL) {
        dv_value_set_free(set);
        return DV_ERR_NO_MEMORY;
    }
    dv_random(set->key, sizeof(set->key));
    *ret_set = set;
    return DV_OK;
}

void dv_value_set_free(dv_value_set *set)
{
    if (set == NULL) {
        return;
    }
    dv_wipe(set->key, sizeof(set->key));
    dv_buf_wipe(&set->spelling);
    free(set->slots);
    free(set);
}

/* Never 0. What is too long for one spelling is its own. */
static dv_result hash(dv_value_set *set, dv_slice value, uint64_t *ret_hash)
{
    dv_slice spelled = value;
    if (value.len <= DV_ACTION_VALUE_MAX) {
        dv_buf_clear(&set->spelling);
        DV_TRY(dv_shape_normalise(dv_shape_of(value, DV_DATE_DMY), DV_DATE_DMY, value,
                                  &set->spelling));
        spelled = dv_buf_slice(&set->spelling);
    }
    uint64_t made = dv_siphash(set->key, spelled);
    *ret_hash = made == 0 ? 1 : made;
    return DV_OK;
}

static uint64_t *find(uint64_t *slots, size_t room, uint64_t value)
{
    size_t at = (size_t)value & (room - 1);
    while (slots[at] != 0 && slots[at] != value) {
        at = (at + 1) & (room - 1);
    }
    return &slots[at];
}

static dv_result grow(dv_value_set *set)
{
    size_t room = 2 * set->room;
    uint64_t *slots = calloc(room, sizeof(*slots));
    if (slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < set->room; i++) {
        if (set->slots[i] != 0) {
            *find(slots, room, set->slots[i]) = set->slots[i];
        }
    }
    free(set->slots);
    set->slots = slots;
    set->room = room;
    return DV_OK;
}

dv_result dv_value_set_add(dv_value_set *set, dv_slice value)
{
    uint64_t made;
    DV_TRY(hash(set, value, &made));
    uint64_t *slot = find(set->slots, set->room, made);
    if (*slot != 0) {
        return DV_OK;
    }
    if (set->count == set->most) {
        return DV_ERR_TOO_LARGE;
    }
    *slot = made;
    set->count++;
    return set->count * 2 > set->room ? grow(set) : DV_OK;
}

dv_result dv_value_set_has(dv_value_set *set, dv_slice value, bool *ret_has)
{
    uint64_t made;
    DV_TRY(hash(set, value, &made));
    *ret_has = *find(set->slots, set->room, made) != 0;
    return DV_OK;
}

size_t dv_value_set_count(const dv_value_set *set)
{
    return set->count;
}
