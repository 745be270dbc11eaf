/*
 * Runs between fork() and exec(), in a copy of the agent's memory: what it allocates is gone with the exec, and
 * what it breaks is only this one program. Every failure goes to the status pipe, typed.
 */
#include "spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "environment.h"
#include "resource_limit.h"
#include "spawn_failure.h"
#include "user.h"

/* Where the status pipe sits while all else that was inherited is closed. */
enum { STATUS_FD = 3 };

static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

__attribute__((format(printf, 3, 4))) static noreturn void fail(int kind, int error, const char *format, ...) {
    struct spawn_failure failure = {.kind = kind, .error = error};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure.message, sizeof failure.message, format, arguments);
    va_end(arguments);
    ssize_t written = write(STATUS_FD, &failure, sizeof failure);
    _exit(written == (ssize_t)sizeof failure ? 127 : 126);
}

/* ---- arguments */

char *child_string(struct text text, const char *what) {
    if (text.size == 0) text = text_of(""); /* `bytes` may be NULL then */
    if (memchr(text.bytes, '\0', text.size) != NULL)
        fail(EXEC_FAILURE_BAD_ARGUMENTS, EINVAL, "%s holds a zero byte", what);
    char *string = strndup(text.bytes, text.size);
    if (string == NULL) fail(EXEC_FAILURE_OUT_OF_MEMORY, ENOMEM, "no memory for %s", what);
    return string;
}

/* NULL-terminated, with `spare` more places after the last. */
static char **to_strings(struct texts texts, size_t spare, const char *what) {
    char **strings = calloc((size_t)texts.count + spare + 1, sizeof *strings);
    if (strings == NULL) fail(EXEC_FAILURE_OUT_OF_MEMORY, ENOMEM, "no memory for %s", what);
    struct text text;
    for (size_t i = 0; texts_next(&texts, &text); i++) strings[i] = child_string(text, what);
    return strings;
}

static const char *variable(char *const *environment, const char *name) {
    size_t size = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=') return *environment + size + 1;
    return NULL;
}

static void add_default(char **environment, const char *name, const char *value) {
    if (variable(environment, name) != NULL) return;
    size_t size = strlen(name) + 1 + strlen(value) + 1;
    char *entry = malloc(size);
    if (entry == NULL) fail(EXEC_FAILURE_OUT_OF_MEMORY, ENOMEM, "no memory for the environment");
    snprintf(entry, size, "%s=%s", name, value);
    while (*environment != NULL) environment++;
    *environment = entry; /* to_strings() left the place */
}

/* Adds the defaults of all programs. */
static void add_defaults(char **environment) {
    struct texts defaults = environment_defaults();
    struct text text;
    while (texts_next(&defaults, &text)) {
        char *entry = child_string(text, "the environment");
        char *value = strchr(entry, '=') + 1; /* environment_set() has checked it */
        value[-1] = '\0';
        add_default(environment, entry, value);
    }
}

static char **make_environment(const struct msg_exec_start *start, const struct identity *identity) {
    char **environment = to_strings(start->env, 3 + environment_defaults().count, "the environment");
    for (char **entry = environment; *entry != NULL; entry++)
        if (**entry == '=' || strchr(*entry, '=') == NULL)
            fail(EXEC_FAILURE_BAD_ARGUMENTS, EINVAL, "environment entry is not NAME=value: \"%.80s\"", *entry);
    add_defaults(environment);
    add_default(environment, "PATH", DEFAULT_PATH);
    add_default(environment, "HOME", identity->home);
    if (start->flags & EXEC_FLAG_TTY) add_default(environment, "TERM", "xterm");
    return environment;
}

/* ---- the process's surroundings */

/* Leaves 0, 1, 2 and the status pipe open, and nothing else: no other session's pipe may be held by this child. */
static void install_files(const struct child_files *files) {
    int inputs[] = {files->stdin_fd, files->stdout_fd, files->stderr_fd};
    int status = fcntl(files->status_fd, F_DUPFD_CLOEXEC, STATUS_FD);
    /* First out of the way of 0 to 3, then into place: a source may itself be one of those. */
    for (int i = 0; i < 3; i++)
        inputs[i] = fcntl(inputs[i] >= 0 ? inputs[i] : inputs[0], F_DUPFD_CLOEXEC, STATUS_FD + 1);
    for (int i = 0; i < 3; i++) dup2(inputs[i], i);
    if (status != STATUS_FD) dup3(status, STATUS_FD, O_CLOEXEC);
    syscall(SYS_close_range, STATUS_FD + 1, ~0U, 0U); /* all are close-on-exec as well */
}

static void reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL); /* KILL, STOP: refused, and default */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The agent is never the kernel's choice when memory runs out; its programs are, as usual. */
static void reset_oom_score(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return; /* no /proc: nothing was changed there either */
    ssize_t written = write(fd, "0", 1);
    (void)written; /* refused only in native mode, where the score was not set by us */
    close(fd);
}

static void set_limits(struct texts limits) {
    struct text text;
    while (texts_next(&limits, &text)) {
        const char *limit = child_string(text, "a resource limit");
        switch (resource_limit_set(limit)) {
            case RESOURCE_LIMIT_SET: break;
            case RESOURCE_LIMIT_MALFORMED:
                fail(EXEC_FAILURE_BAD_ARGUMENTS, EINVAL, "not a resource limit: \"%.80s\"", limit);
            case RESOURCE_LIMIT_REFUSED:
                fail(EXEC_FAILURE_RESOURCE_LIMIT, errno, "resource limit refused: \"%.80s\"", limit);
        }
    }
}

/* So that a program that runs as somebody else can open /dev/stdout and its terminal by name. */
static void own_files(const struct identity *identity, bool is_tty) {
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (fstat(fd, &status) != 0) continue;
        bool is_ours = S_ISFIFO(status.st_mode) || (is_tty && S_ISCHR(status.st_mode));
        if (is_ours && fchown(fd, identity->uid, (gid_t)-1) != 0) return; /* a convenience only */
    }
}

static void become(const char *user, bool is_tty, struct identity *identity) {
    const char *problem = identity_resolve(user, identity);
    if (problem != NULL) fail(EXEC_FAILURE_BAD_USER, 0, "%s: \"%.80s\"", problem, user);
    if (!identity->is_own) own_files(identity, is_tty);
    if (!identity_assume(identity)) fail(EXEC_FAILURE_BAD_USER, errno, "cannot become user \"%.80s\"", user);
}

static void enter_directory(const char *directory, const struct identity *identity) {
    if (*directory == '\0') {
        if (chdir(identity->home) != 0 && chdir("/") != 0) fail(EXEC_FAILURE_BAD_CWD, errno, "cannot enter /");
    } else if (chdir(directory) != 0) {
        int error = errno;
        fail(EXEC_FAILURE_BAD_CWD, error, "cannot enter directory \"%.100s\": %s", directory, strerror(error));
    }
}

/* ---- exec */

static int failure_kind(int error) {
    switch (error) {
        case ENOENT:
        case ENOTDIR:
        case ENAMETOOLONG: return EXEC_FAILURE_NOT_FOUND;
        case EACCES:
        case EPERM:
        case ELOOP: return EXEC_FAILURE_PERMISSION_DENIED;
        case ENOEXEC:
        case ETXTBSY:
        case ELIBBAD:
        case EINVAL:
        case EISDIR: return EXEC_FAILURE_NOT_EXECUTABLE;
        case E2BIG: return EXEC_FAILURE_BAD_ARGUMENTS;
        case ENOMEM: return EXEC_FAILURE_OUT_OF_MEMORY;
        case EAGAIN:
        case EMFILE:
        case ENFILE: return EXEC_FAILURE_RESOURCE_LIMIT;
        default: return EXEC_FAILURE_OTHER;
    }
}

/* Whether a file that the kernel does not know is text, which every shell would run as a script of its own. */
static bool looks_like_script(const char *path) {
    char bytes[SCRIPT_PROBE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    return size >= 0 && memchr(bytes, '\0', (size_t)size) == NULL;
}

static void execute_as_script(const char *path, char **arguments, char **environment) {
    size_t count = 0;
    while (arguments[count] != NULL) count++;
    char **shell_arguments = calloc(count + 2, sizeof *shell_arguments);
    if (shell_arguments == NULL) return;
    shell_arguments[0] = "/bin/sh";
    shell_arguments[1] = (char *)path;
    memcpy(shell_arguments + 2, arguments + 1, (count - 1) * sizeof *shell_arguments);
    execve(shell_arguments[0], shell_arguments, environment);
}

/* Returns only on failure, with its errno. */
static int execute(const char *path, char **arguments, char **environment) {
    execve(path, arguments, environment);
    if (errno == ENOEXEC && looks_like_script(path)) {
        execute_as_script(path, arguments, environment);
        errno = ENOEXEC; /* whatever is wrong with the shell, this file could not be executed */
    }
    return errno;
}

/* execvpe() semantics: a directory that has the name but not for us is passed over, and remembered. */
static int execute_from_path(const char *name, char **arguments, char **environment) {
    int result = ENOENT;
    const char *directories = variable(environment, "PATH");
    for (const char *directory = directories; directory != NULL;) {
        const char *end = strchrnul(directory, ':');
        char path[PATH_BYTES_MAX];
        int directory_size = (int)(end - directory);
        int size = snprintf(path, sizeof path, "%.*s%s%s", directory_size, directory,
                            directory_size > 0 ? "/" : "./", name);
        if (size < (int)sizeof path) {
            int error = execute(path, arguments, environment);
            if (error == EACCES)
                result = EACCES;
            else if (error != ENOENT && error != ENOTDIR)
                return error;
        }
        directory = *end == '\0' ? NULL : end + 1;
    }
    return result;
}

static noreturn void fail_to_execute(const char *name, int error) {
    if (error == ENOENT && strchr(name, '/') != NULL && access(name, F_OK) == 0)
        fail(EXEC_FAILURE_NOT_FOUND, error, "interpreter or loader of \"%.100s\" not found", name);
    fail(failure_kind(error), error, "cannot execute \"%.100s\": %s", name, strerror(error));
}

void child_prepare(const struct msg_exec_start *start, const struct child_files *files, struct identity *identity) {
    bool is_tty = start->flags & EXEC_FLAG_TTY;
    setsid();
    install_files(files);
    if (is_tty && ioctl(0, TIOCSCTTY, 0) != 0)
        fail(EXEC_FAILURE_PTY_SETUP, errno, "cannot take the pseudo-terminal as controlling terminal");
    reset_signals();
    reset_oom_score();
    open_files_restore();
    umask(022);
    set_limits(start->rlimits);
    become(child_string(start->user, "the user"), is_tty, identity);
}

noreturn void child_fail(int kind, int error, const char *what) {
    fail(kind, error, "%s: %s", what, strerror(error));
}

void child_started(void) {
    close(STATUS_FD);
}

noreturn void child_run(const struct msg_exec_start *start, const struct child_files *files) {
    static struct identity identity;
    child_prepare(start, files, &identity);
    const char *directory = child_string(start->cwd, "the working directory");
    char **arguments = to_strings(start->argv, 0, "an argument");
    if (arguments[0] == NULL || *arguments[0] == '\0') fail(EXEC_FAILURE_BAD_ARGUMENTS, EINVAL, "no program given");
    enter_directory(directory, &identity);
    char **environment = make_environment(start, &identity);

    const char *name = arguments[0];
    bool is_path = strchr(name, '/') != NULL;
    int error = is_path ? execute(name, arguments, environment) : execute_from_path(name, arguments, environment);
    fail_to_execute(name, error);
}
