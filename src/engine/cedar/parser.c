/* SPDX-License-Identifier: Apache-2.0 */
/* What both the expression and the policy reader stand on. */
#include "engine/cedar/parser.h"

#include "engine/cedar/uid.h"

#include "base/caps.h"

dv_result dv_cedar_parser_advance(dv_cedar_parser *parser)
{
    return dv_cedar_lex(&parser->lexer, &parser->token);
}

bool dv_cedar_parser_at(const dv_cedar_parser *parser, const char *text)
{
    dv_cedar_token_kind kind = parser->token.kind;

    return (kind == DV_CEDAR_TOKEN_PUNCTUATION || kind == DV_CEDAR_TOKEN_IDENT) &&
           dv_slice_eq_str(parser->token.text, text);
}

dv_result dv_cedar_parser_accept(dv_cedar_parser *parser, const char *text, bool *ret_taken)
{
    bool taken = dv_cedar_parser_at(parser, text);

    if (taken) {
        DV_TRY(dv_cedar_parser_advance(parser));
    }
    *ret_taken = taken;
    return DV_OK;
}

dv_result dv_cedar_parser_error(const dv_cedar_parser *parser, const char *expected)
{
    const dv_cedar_token *token = &parser->token;
    dv_slice shown = dv_slice_sub(token->text, 0, 40);

    if (token->kind == DV_CEDAR_TOKEN_END) {
        return dv_cedar_error_at(&parser->lexer, token->offset, "the text ends here, expected %s",
                                 expected);
    }
    return dv_cedar_error_at(&parser->lexer, token->offset, "expected %s instead of '%.*s'",
                             expected, DV_SLICE_ARGS(shown));
}

dv_result dv_cedar_parser_expect(dv_cedar_parser *parser, const char *text)
{
    char quoted[32];

    if (!dv_cedar_parser_at(parser, text)) {
        snprintf(quoted, sizeof(quoted), "'%s'", text);
        return dv_cedar_parser_error(parser, quoted);
    }
    return dv_cedar_parser_advance(parser);
}

dv_result dv_cedar_parse_string(dv_cedar_parser *parser, dv_slice *ret_text)
{
    const dv_slice *pieces = NULL;
    size_t count = 0;

    if (parser->token.kind != DV_CEDAR_TOKEN_STRING) {
        return dv_cedar_parser_error(parser, "a string");
    }
    DV_TRY(
        dv_cedar_unescape(&parser->lexer, &parser->token, false, parser->arena, &pieces, &count));
    DV_TRY(dv_cedar_parser_advance(parser));
    *ret_text = pieces[0];
    return DV_OK;
}

static dv_result take_ident(dv_cedar_parser *parser)
{
    if (parser->token.kind != DV_CEDAR_TOKEN_IDENT || !dv_cedar_ident_valid(parser->token.text)) {
        return dv_cedar_parser_error(parser, "a name that is not reserved");
    }
    return dv_cedar_parser_advance(parser);
}

/* Blanks and comments may stand between the parts, so the path is put together anew. */
static dv_result append_ident(dv_cedar_parser *parser, dv_slice *path)
{
    dv_slice name = parser->token.text;
    const char *joined = NULL;

    DV_TRY(take_ident(parser));
    if (path->len == 0) {
        *path = name;
        return DV_OK;
    }
    if (path->len + name.len > DV_LIMIT_CEDAR_UID) {
        return dv_cedar_parser_error(parser, "a shorter name");
    }
    joined =
        dv_arena_printf(parser->arena, "%.*s::%.*s", DV_SLICE_ARGS(*path), DV_SLICE_ARGS(name));
    if (joined == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *path = dv_slice_str(joined);
    return DV_OK;
}

dv_result dv_cedar_parse_path(dv_cedar_parser *parser, dv_slice *ret_path, dv_slice *ret_uid)
{
    dv_slice path = {0}, uid = {0};
    bool more = false;

    do {
        if (path.len > 0 && parser->token.kind == DV_CEDAR_TOKEN_STRING) {
            size_t start = parser->token.offset;
            dv_slice id = {0};
            DV_TRY(dv_cedar_parse_string(parser, &id));
            dv_result made = dv_cedar_uid(parser->arena, path, id, &uid);
            if (made == DV_ERR_TOO_LARGE) {
                return dv_cedar_error_at(&parser->lexer, start, "this entity's id is too long");
            }
            DV_TRY(made);
            break;
        }
        DV_TRY(append_ident(parser, &path));
        DV_TRY(dv_cedar_parser_accept(parser, "::", &more));
    } while (more);
    *ret_path = path;
    *ret_uid = uid;
    return DV_OK;
}

dv_result dv_cedar_parse_more(dv_cedar_parser *parser, const char *close, bool *ret_more)
{
    bool comma = false, closed = false;

    DV_TRY(dv_cedar_parser_accept(parser, ",", &comma));
    if (comma) {
        DV_TRY(dv_cedar_parser_accept(parser, close, &closed));
    } else {
        DV_TRY(dv_cedar_parser_expect(parser, close));
    }
    *ret_more = comma && !closed;
    return DV_OK;
}

/* One of them, behind its sign. */
static dv_result parse_annotation(dv_cedar_parser *parser, dv_cedar_list *list)
{
    const dv_cedar_annotation *earlier = list->items;
    dv_cedar_annotation one = {.name = parser->token.text};
    bool with_text = false;

    if (parser->token.kind != DV_CEDAR_TOKEN_IDENT) {
        return dv_cedar_parser_error(parser, "an annotation's name");
    }
    for (size_t i = 0; i < list->count; i++) {
        if (dv_slice_eq(earlier[i].name, one.name)) {
            return dv_cedar_parser_error(parser, "each annotation once,");
        }
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_accept(parser, "(", &with_text));
    if (with_text) {
        DV_TRY(dv_cedar_parse_string(parser, &one.text));
        DV_TRY(dv_cedar_parser_expect(parser, ")"));
    }
    return dv_cedar_list_add(parser->arena, list, &one, sizeof(one));
}

dv_result dv_cedar_parse_annotations(dv_cedar_parser *parser, dv_cedar_annotations *ret_annotations)
{
    dv_cedar_list list = {0};
    bool more = false;

    for (;;) {
        DV_TRY(dv_cedar_parser_accept(parser, "@", &more));
        if (!more) {
            break;
        }
        if (list.count == DV_LIMIT_CEDAR_ANNOTATIONS) {
            return dv_cedar_parser_error(parser, "fewer annotations");
        }
        DV_TRY(parse_annotation(parser, &list));
    }
    *ret_annotations = (dv_cedar_annotations){list.items, list.count};
    return DV_OK;
}
