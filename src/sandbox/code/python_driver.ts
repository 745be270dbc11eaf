/**
 * The program that makes a session of Python, which the interpreter gets with `-c`.
 *
 * It takes descriptor 0 away from the code that it runs, so that `input()` finds an end and not the next request. The last
 * statement, if it is an expression, is compiled apart: its value is the result.
 *
 * @module
 */
import { REPORT_TEXT_CHARS_MAX, REPORT_VALUE_CHARS_MAX } from "./report.ts";

/** Python 3.8 or later. */
export const PYTHON_DRIVER: string = String.raw`
import ast, json, linecache, os, signal, sys, traceback, types
def main():
    dumps, getpid, write = json.dumps, os.getpid, os.write
    requests = os.fdopen(os.dup(0), "rb")
    outputs = (os.dup(1), os.dup(2))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    driver, running, loop, count = getpid(), [False], None, 0
    module = types.ModuleType("__main__")
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    names = module.__dict__
    sys.argv[:] = [""]

    def interrupt(*_):
        if running[0]:
            raise KeyboardInterrupt
    signal.signal(signal.SIGINT, interrupt)

    def cut(text):
        return text[:${REPORT_TEXT_CHARS_MAX}], max(0, len(text) - ${REPORT_TEXT_CHARS_MAX})

    def piece(channel, nonce, payload):
        data = b"\x1e" + nonce + b"%04x" % len(payload) + payload
        while data:
            data = data[write(outputs[channel], data):]

    def run(code):
        nonlocal loop
        value = eval(code, names)
        if not code.co_flags & 0x80:
            return value
        import asyncio
        if loop is None or loop.is_closed():
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        task = loop.create_task(value)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            raise

    def evaluate(source, filename):
        tree = ast.parse(source, filename)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        compiled = []
        if tree.body:
            compiled.append(compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        if last is not None:
            compiled.append(compile(ast.Expression(last.value), filename, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        value = None
        for code in compiled:
            value = run(code)
        return value if last is not None else None

    def told(value):
        if value is None:
            return {}
        text, omitted = cut(repr(value))
        report = {"text": text, "textOmitted": omitted}
        try:
            encoded = dumps(value, allow_nan=False)
            if len(encoded) <= ${REPORT_VALUE_CHARS_MAX}:
                report["json"] = encoded
        except Exception:
            pass
        return {"result": report}

    def failure(error, filename):
        frame = error.__traceback__
        while frame is not None and frame.tb_frame.f_code.co_filename != filename:
            frame = frame.tb_next
        try:
            message = str(error)
        except Exception:
            message = "(its message cannot be read)"
        try:
            trace = "".join(traceback.format_exception(type(error), error, frame))
        except Exception:
            trace = type(error).__name__
        return {"error": {"name": type(error).__name__, "message": cut(message)[0], "traceback": cut(trace)[0]}}

    def report_of(source, filename):
        while True:
            try:
                try:
                    running[0] = True
                    report = told(evaluate(source, filename))
                    running[0] = False
                    return report
                except SystemExit:
                    raise
                except BaseException as error:
                    running[0] = False
                    return failure(error, filename)
            except KeyboardInterrupt as error:
                running[0] = False
                return failure(error, filename)

    for line in iter(requests.readline, b""):
        request = json.loads(line)
        source, nonce = request["source"], request["nonce"].encode()
        count += 1
        filename = "<code %d>" % count
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        report = report_of(source, filename)
        if getpid() != driver:
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        encoded = dumps(report).encode()
        for at in range(0, len(encoded), 4000):
            piece(0, nonce, b"r" + encoded[at:at + 4000])
        piece(0, nonce, b"e")
        piece(1, nonce, b"e")
main()
`;
