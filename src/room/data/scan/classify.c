/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/scan/classify.h"

/* How sure a place makes a rule, in percent: as sure as its values are on average, and then
 * corrected by what stands around them. */
enum {
    NAMED = 15,       /* the column is called so */
    NAME_ALONE = 65,  /* ... and holds nothing that is known by its shape */
    NAME_PARTLY = 45, /* ... has the words within its name */
    MOST_SHARE = 50,  /* per cent of a column's values from which on it is what the column is for */
    MOST = 5,
    RARE_SHARE = 2, /* per cent below which it is chance, or a slip */
    RARE_CELLS = 20,
    RARE = -35,
    ALONE = -5, /* one single value in a text */
    EACH_MORE = 3,
    MORE_MAX = 10,
    SURE_MAX = 99,
};

/* What one place says for a rule. */
typedef struct evidence {
    int confidence;
    const char *why;
} evidence;

typedef struct weighing {
    const dv_data_rule *rule;
    dv_arena *arena;
    evidence best[DV_DATA_WHYS_MAX]; /* surest first */
    size_t kept;
    size_t count;
    uint64_t values;
} weighing;

/* ---- names of columns ---- */

/* 0: no; 1: the words stand within the name; 2: at its end, where what it is stands. */
static int speaks(const char *name, const char *words)
{
    size_t len = strlen(words);
    int best = 0;
    for (const char *at = strstr(name, words); at != NULL; at = strstr(at + 1, words)) {
        bool begins = at == name || at[-1] == ' ';
        if (begins && at[len] == '\0') {
            return 2;
        }
        best = begins && at[len] == ' ' ? 1 : best;
    }
    return best;
}

static int name_speaks(const dv_data_rule *rule, const dv_data_part *part)
{
    int best = 0;
    for (size_t i = 0; i < rule->columns.count; i++) {
        best = DV_MAX(best, speaks(part->words, rule->columns.items[i]));
    }
    return best;
}

/* ---- one place ---- */

static void keep(weighing *w, int confidence, const char *why)
{
    size_t at = w->kept;
    w->count++;
    while (at > 0 && w->best[at - 1].confidence < confidence) {
        at--;
    }
    if (at == DV_DATA_WHYS_MAX) {
        return;
    }
    w->kept = DV_MIN(w->kept + 1, DV_DATA_WHYS_MAX);
    memmove(w->best + at + 1, w->best + at, (w->kept - at - 1) * sizeof(*w->best));
    w->best[at] = (evidence){confidence, why};
}

static const char *place_name(const dv_data_part *part)
{
    return part->name[0] != '\0' ? part->name : "the text";
}

static int column_confidence(const dv_data_part *part, const dv_data_tally *tally, int named)
{
    uint64_t share = part->cells == 0 ? 0 : tally->cells * 100 / part->cells;
    int confidence = (int)(tally->score_sum / tally->values) + (named > 0 ? NAMED : 0);
    if (share >= MOST_SHARE) {
        confidence += MOST;
    } else if (share < RARE_SHARE && part->cells >= RARE_CELLS) {
        confidence += RARE;
    }
    return confidence;
}

static dv_result weigh_tally(weighing *w, const dv_data_part *part, const dv_data_tally *tally,
                             int named)
{
    const char *why = NULL;
    int confidence = 0;
    if (part->column) {
        confidence = column_confidence(part, tally, named);
        why = dv_arena_printf(w->arena, "%s in %llu of %llu values of %s%s",
                              dv_data_kind_id(tally->kind), (unsigned long long)tally->cells,
                              (unsigned long long)part->cells, place_name(part),
                              named > 0 ? ", whose name says so" : "");
    } else {
        confidence = (int)(tally->score_sum / tally->values) + (tally->values == 1 ? ALONE : 0);
        why = dv_arena_printf(w->arena, "%s %llu times in %s", dv_data_kind_id(tally->kind),
                              (unsigned long long)tally->values, place_name(part));
    }
    if (why == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    w->values += tally->values;
    keep(w, confidence, why);
    return DV_OK;
}

static dv_result weigh_name(weighing *w, const dv_data_part *part, int named)
{
    const char *why = dv_arena_printf(w->arena, "the name of %s", place_name(part));
    if (why == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    keep(w, named == 2 ? NAME_ALONE : NAME_PARTLY, why);
    return DV_OK;
}

static dv_result weigh_part(weighing *w, const dv_data_part *part)
{
    int named = part->column ? name_speaks(w->rule, part) : 0;
    bool found = false;
    for (size_t i = 0; i < part->count; i++) {
        const dv_data_tally *tally = &part->tallies[i];
        if (w->rule->kinds[tally->kind] && tally->score_sum / tally->values >= w->rule->score) {
            DV_TRY(weigh_tally(w, part, tally, named));
            found = true;
        }
    }
    return !found && named > 0 && part->cells > 0 ? weigh_name(w, part, named) : DV_OK;
}

/* ---- one rule ---- */

static uint8_t sum_up(const weighing *w)
{
    int more = (int)DV_MIN(EACH_MORE * (w->count - 1), (size_t)MORE_MAX);
    return (uint8_t)DV_MAX(DV_MIN(w->best[0].confidence + more, SURE_MAX), 1);
}

static void reason_of(const weighing *w, dv_data_reason *reason)
{
    bool many = w->rule->many > 0 && w->values >= w->rule->many;
    *reason = (dv_data_reason){
        .rule = w->rule,
        .sensitivity = many ? DV_MAX(w->rule->sensitivity, w->rule->level) : w->rule->sensitivity,
        .confidence = sum_up(w),
        .values = w->values,
        .why_count = w->kept,
    };
    for (size_t i = 0; i < w->kept; i++) {
        reason->whys[i] = w->best[i].why;
    }
}

/* Values fewer than the rule asks for say nothing; a column's name does all the same. */
static bool holds(const weighing *w)
{
    return w->count > 0 && (w->values == 0 || w->values >= w->rule->least);
}

dv_result dv_data_classify(const dv_data_rules *rules, const dv_data_part *const *parts,
                           size_t count, uint8_t least, dv_arena *arena, dv_data_class *ret_class)
{
    dv_data_class class = {.sensitivity = DV_DATA_INTERNAL};
    dv_data_reason *reasons = dv_arena_alloc(arena, (rules->count + 1) * sizeof(*reasons));
    if (reasons == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t r = 0; r < rules->count; r++) {
        weighing w = {.rule = rules->items[r], .arena = arena};
        for (size_t i = 0; i < count; i++) {
            DV_TRY(weigh_part(&w, parts[i]));
        }
        if (!holds(&w) || sum_up(&w) < least) {
            continue;
        }
        dv_data_reason *reason = &reasons[class.count++];
        reason_of(&w, reason);
        if (class.confidence == 0 || reason->sensitivity > class.sensitivity) {
            class.sensitivity = reason->sensitivity;
            class.confidence = reason->confidence;
        } else if (reason->sensitivity == class.sensitivity) {
            class.confidence = DV_MAX(class.confidence, reason->confidence);
        }
    }
    class.reasons = reasons;
    *ret_class = class;
    return DV_OK;
}
