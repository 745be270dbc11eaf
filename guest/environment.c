#include "environment.h"

#include <stdlib.h>

static struct texts defaults;

static bool is_variable(struct text text) {
    return text.size > 0 && text.bytes[0] != '=' && memchr(text.bytes, '=', text.size) != NULL &&
           memchr(text.bytes, '\0', text.size) == NULL;
}

bool environment_set(struct texts variables) {
    struct texts rest = variables;
    struct text text;
    while (texts_next(&rest, &text))
        if (!is_variable(text)) return false;
    uint8_t *bytes = variables.size == 0 ? NULL : malloc(variables.size);
    if (variables.size > 0 && bytes == NULL) return false;
    if (bytes != NULL) memcpy(bytes, variables.bytes, variables.size);
    free((void *)defaults.bytes);
    defaults = (struct texts){.bytes = bytes, .size = variables.size, .count = variables.count};
    return true;
}

struct texts environment_defaults(void) {
    return defaults;
}
