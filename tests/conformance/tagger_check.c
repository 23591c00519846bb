/* SPDX-License-Identifier: Apache-2.0 */
/* Reads texts, each a JSON string on a line; answers each with a line of what the tagger found in
 * it: "type:start:end:score ..." in bytes, or "-". Usage: tagger_check [MODEL]. */
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/detect/tagger/tagger.h"

enum { LINE_MAX_LEN = 1 << 20, MODEL_MAX = 64 << 20 };

static dv_result find(dv_tagger *tagger, dv_slice line, dv_arena *arena,
                      const dv_tagger_span **ret_spans, size_t *ret_count)
{
    const dv_json_limits limits = {.depth = 1, .tokens = 1};
    dv_json json;
    dv_slice text;
    size_t hold = 0;
    DV_TRY(dv_json_scan(line, &limits, arena, &json, NULL));
    DV_TRY(dv_json_string(&json, 0, arena, &text));
    return dv_tagger_find(tagger, text, 0, false, DV_TAGGER_ALL, arena, ret_spans, ret_count,
                          &hold);
}

static void answer(dv_tagger *tagger, dv_slice line)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    const dv_tagger_span *spans = NULL;
    size_t count = 0;
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : find(tagger, line, arena, &spans, &count);
    if (result != DV_OK) {
        printf("failed: %s\n", dv_result_name(result));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s%s:%u:%u:%u", i == 0 ? "" : " ", dv_tagger_type_name(spans[i].type),
               spans[i].start, spans[i].end, spans[i].score);
    }
    puts(count == 0 ? "-" : "");
}

static dv_result open_model(int argc, char **argv, dv_buf *file, dv_tagger_model **ret_model,
                            dv_error *error)
{
    if (argc < 2) {
        return dv_tagger_model_builtin(ret_model, error);
    }
    DV_TRY(dv_file_read(argv[1], file, error));
    return dv_tagger_model_open(dv_buf_slice(file), ret_model, error);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_LEN];
    dv_error error = {0};
    dv_auto(buf) dv_buf file = dv_buf_init(MODEL_MAX);
    dv_auto(tagger_model) dv_tagger_model *model = NULL;
    dv_auto(tagger) dv_tagger *tagger = NULL;
    if (open_model(argc, argv, &file, &model, &error) != DV_OK ||
        dv_tagger_new(model, &tagger) != DV_OK) {
        fprintf(stderr, "tagger_check: %s\n", error.message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        answer(tagger, dv_slice_trim(dv_slice_str(line)));
    }
    return 0;
}
