/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_url.h"

#include "base/address.h"

/* WHATWG URL: leading control characters and blanks are dropped. */
static dv_slice skip_blanks(dv_slice text)
{
    while (text.len > 0 && text.ptr[0] <= ' ') {
        text = dv_slice_sub(text, 1, text.len);
    }
    return text;
}

static bool is_in(uint8_t byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* Takes "scheme:" off the front when it is one that fetchers know. Tabs and line ends inside a URL
 * are dropped by parsers, so a scheme with one inside is not taken for plain text. */
static bool take_scheme(dv_slice *text, bool *ret_file)
{
    static const char *const schemes[] = {"http", "https", "ws", "wss", "ftp", "file"};
    char name[8];
    size_t len = 0;
    for (size_t i = 0; i < text->len; i++) {
        uint8_t byte = text->ptr[i];
        if (is_in(byte, "\t\r\n")) {
            continue;
        }
        if (byte == ':') {
            *text = dv_slice_sub(*text, i + 1, text->len);
            break;
        }
        if (len == sizeof(name)) {
            return false;
        }
        name[len++] = (char)byte;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(schemes); i++) {
        if (dv_slice_eq_nocase(dv_slice_of(name, len), dv_slice_str(schemes[i]))) {
            *ret_file = strcmp(schemes[i], "file") == 0;
            return true;
        }
    }
    return false;
}

/* The host without user, password and port, as far as '/', '\', '?' or '#'. */
static dv_slice host_of(dv_slice text)
{
    while (text.len > 0 && is_in(text.ptr[0], "/\\")) {
        text = dv_slice_sub(text, 1, text.len);
    }
    size_t end = 0, start = 0;
    while (end < text.len && !is_in(text.ptr[end], "/\\?#")) {
        if (text.ptr[end] == '@') {
            start = end + 1;
        }
        end++;
    }
    dv_slice host = dv_slice_sub(text, start, end - start);
    if (host.len > 0 && host.ptr[0] == '[') {
        ptrdiff_t close = dv_slice_find_byte(host, ']');
        return close < 0 ? host : dv_slice_sub(host, 0, (size_t)close + 1);
    }
    ptrdiff_t colon = dv_slice_find_byte(host, ':');
    return colon < 0 ? host : dv_slice_sub(host, 0, (size_t)colon);
}

static bool is_plain_host(dv_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t byte = host.ptr[i];
        bool plain = (byte >= '0' && byte <= '9') ||
                     ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || is_in(byte, ".-_");
        if (!plain) {
            return false;
        }
    }
    return host.len > 0;
}

static bool ends_nocase(dv_slice name, const char *suffix)
{
    dv_slice tail = dv_slice_str(suffix);
    return name.len >= tail.len &&
           dv_slice_eq_nocase(dv_slice_sub(name, name.len - tail.len, tail.len), tail);
}

static bool is_private_name(dv_slice name)
{
    static const char *const suffixes[] = {".localhost", ".local", ".internal", ".home.arpa"};
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(suffixes); i++) {
        if (ends_nocase(name, suffixes[i])) {
            return true;
        }
    }
    return dv_slice_find_byte(name, '.') < 0;
}

static bool is_private_host(dv_slice host)
{
    dv_address address;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        return dv_address_parse(dv_slice_sub(host, 1, host.len - 2), &address) != DV_OK ||
               !dv_address_is_public(&address);
    }
    if (!is_plain_host(host)) {
        return true;
    }
    if (dv_address_parse_url_ipv4(host, &address) == DV_OK) {
        return !dv_address_is_public(&address);
    }
    return is_private_name(host);
}

bool dv_api_url_is_private(dv_slice text)
{
    bool file = false;
    text = skip_blanks(text);
    return take_scheme(&text, &file) && (file || is_private_host(host_of(text)));
}

bool dv_api_url_names(dv_slice name)
{
    static const dv_slice names[] = {
        DV_LIT("url"),       DV_LIT("uri"),       DV_LIT("image_url"),  DV_LIT("file_url"),
        DV_LIT("video_url"), DV_LIT("audio_url"), DV_LIT("server_url"),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}
