"""The loop of `run_sync` across forks and at the exit of the interpreter, in processes of their own."""

import subprocess
import sys
import textwrap


def run_script(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in an interpreter where every warning, one about what is left open included, is an error."""
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FORK = """
    import asyncio, os, sys, threading, warnings
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    from asyncsteps.swf._sync.loop import run_sync

    async def here():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop()), threading.get_ident(), os.getpid()

    def in_child(work):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            with open(writer, "w") as pipe:
                pipe.write(repr(work()))
            if threading.current_thread().name == "MainThread":
                sys.exit(0)  # an ordinary end: the child closes its loop, too
            os._exit(0)  # an exit raised in another thread would end no process
        os.close(writer)
        with open(reader) as pipe:
            said = pipe.read()
        assert os.waitpid(pid, 0)[1] == 0
        return eval(said)
"""


def script_ends_well(script: str) -> None:
    ended = run_script(textwrap.dedent(FORK) + textwrap.dedent(script), "-W", "error")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_parent_and_child_use_the_loop_before_and_after_a_fork() -> None:
    script_ends_well("""
        before = run_sync(here)
        twice = lambda: [run_sync(here), run_sync(here), in_child(lambda: run_sync(here))]
        children = [in_child(twice) for _ in "abc"]
        assert run_sync(here) == before
        for first, second, grandchild in children:
            assert first == second
            assert len({before[2], first[2], grandchild[2]}) == 3
    """)


def test_a_child_says_nothing_of_what_its_parent_had_under_way() -> None:
    script_ends_well("""
        import gc
        waiting, release = threading.Event(), []

        async def pending():
            release.append((asyncio.get_running_loop(), asyncio.Event()))
            spawned = asyncio.create_task(asyncio.Event().wait())
            waiting.set()
            await release[0][1].wait()
            spawned.cancel()

        thread = threading.Thread(target=run_sync, args=(pending,))
        thread.start()
        waiting.wait()
        assert in_child(lambda: [gc.collect(), run_sync(here)][1])[2] != os.getpid()
        release[0][0].call_soon_threadsafe(release[0][1].set)
        thread.join()
    """)


def test_a_child_of_a_parent_that_never_used_the_loop_makes_its_own() -> None:
    script_ends_well("""
        assert in_child(lambda: run_sync(here))[2] != os.getpid()
        assert run_sync(here)[2] == os.getpid()
    """)


def test_a_fork_while_the_loops_thread_holds_a_lock_leaves_it_free_in_the_child() -> None:
    script_ends_well("""
        lock, held, forking = threading.Lock(), threading.Event(), threading.Event()

        async def locking():
            with lock:  # as an import, a log record or a library does, within one callback
                held.set()
                forking.wait()

        thread = threading.Thread(target=run_sync, args=(locking,))
        thread.start()
        held.wait()
        forking.set()
        # From here to the fork nothing but our hook gives the loop's thread the time to release its lock.
        assert in_child(lambda: run_sync(locking, timeout=20)) is None
        thread.join()
    """)


def test_forks_amid_calls_of_many_threads_hurt_neither_side() -> None:
    script_ends_well("""
        stop, calls = threading.Event(), []

        async def work():
            for _ in range(20):
                await asyncio.sleep(0)

        def hammer():
            while not stop.is_set():
                run_sync(work)
                calls.append(1)

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(8):
            assert in_child(lambda: run_sync(here))[2] != os.getpid()
        stop.set()
        for thread in threads:
            thread.join()
        assert calls
    """)


def test_a_fork_in_the_loops_own_thread_and_on_a_callers_loop() -> None:
    script_ends_well("""
        from asyncsteps.swf._sync.loop import on_caller_loop

        async def fork_here():
            return in_child(lambda: run_sync(here))

        assert run_sync(fork_here)[2] != os.getpid()

        async def service():
            loop = asyncio.get_running_loop()
            def call():
                with on_caller_loop(loop):
                    # The caller's loop does not run in the child, which therefore makes its own.
                    return run_sync(here), in_child(lambda: run_sync(here))
            mine, childs = await asyncio.to_thread(call)
            assert mine[:2] == (id(loop), threading.get_ident()) and childs[2] != os.getpid()

        asyncio.run(service())
    """)


def test_simpleflows_multiprocess_children_use_it() -> None:
    script_ends_well("""
        import multiprocess

        def work(queue):
            queue.put(run_sync(here))

        before = run_sync(here)
        context = multiprocess.get_context("fork")
        for _ in range(3):
            queue = context.SimpleQueue()
            process = context.Process(target=work, args=(queue,))
            process.start()
            assert queue.get()[2] == process.pid
            process.join()
            assert process.exitcode == 0
        assert run_sync(here) == before
    """)


def test_a_fork_waits_no_longer_than_its_grace_for_a_blocked_loop() -> None:
    script_ends_well("""
        from asyncsteps.swf._sync import loop as sync_loop
        sync_loop.FORK_GRACE = 0.05
        blocked, release = threading.Event(), threading.Event()

        async def block():
            blocked.set()
            release.wait()

        thread = threading.Thread(target=run_sync, args=(block,))
        thread.start()
        blocked.wait()
        assert in_child(lambda: run_sync(here))[2] != os.getpid()
        release.set()
        thread.join()
        run_sync(here)
    """)


def test_exit_cancels_what_is_pending_and_lets_it_clean_up() -> None:
    ended = run_script(
        """
        import asyncio, threading
        from asyncsteps.swf._sync.loop import run_sync
        started = threading.Event()

        async def numbers():
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                print("generator closed")

        async def pending():
            left = numbers()
            assert await anext(left) == 1
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                print("cleaned up")

        threading.Thread(target=run_sync, args=(pending,), daemon=True).start()
        started.wait()
        """,
        "-W",
        "error",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split("\n") == ["cleaned up", "generator closed", ""]


def test_exit_does_not_hang_on_work_that_cannot_be_cancelled() -> None:
    ended = run_script(
        """
        import logging, threading, time
        from asyncsteps.swf._sync import loop as sync_loop
        sync_loop.CLOSE_GRACE = 0.05
        logging.basicConfig()
        started = threading.Event()

        async def block():
            started.set()
            threading.Event().wait()

        threading.Thread(target=sync_loop.run_sync, args=(block,), daemon=True).start()
        started.wait()
        """
    )
    assert ended.returncode == 0
    assert "did not end within 0.05 s of exit" in ended.stderr


def test_after_the_exit_has_begun_it_refuses() -> None:
    ended = run_script(
        """
        import atexit
        from asyncsteps.swf._errors import SyncLoopClosedError

        def late():
            from asyncsteps.swf._sync.loop import run_sync
            try:
                run_sync(lambda: None)
            except SyncLoopClosedError as error:
                print(error)

        atexit.register(late)  # runs after what is registered later
        import asyncio
        from asyncsteps.swf._sync.loop import run_sync
        run_sync(lambda: asyncio.sleep(0))
        """,
        "-W",
        "error",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "the interpreter is exiting" in ended.stdout
