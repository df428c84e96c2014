import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;

/** What the programs of Java clients share: where the nodes are, and a line for each check. */
final class Check {
  static final int PRIMARY = port("PRIMARY"), REPLICA = port("REPLICA"), LOCKED = port("LOCKED");
  static final int WAIT_S = 20;

  interface Body {
    void run() throws Exception;
  }

  private static final Map<String, Body> CHECKS = new LinkedHashMap<>();

  private Check() {}

  private static int port(String name) {
    return Integer.parseInt(System.getenv(name));
  }

  static void check(String name, Body body) {
    CHECKS.put(name, body);
  }

  /** Compares as text, so that 1L and 1 are one number. */
  static void equal(Object got, Object wanted) {
    if (!Objects.toString(got).equals(Objects.toString(wanted))) {
      throw new AssertionError(got + " instead of " + wanted);
    }
  }

  /** The text may be in the message of any cause. */
  static void refused(Body body, String text) {
    try {
      body.run();
    } catch (Exception error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        if (Objects.toString(cause.getMessage()).contains(text)) {
          return;
        }
      }
      throw new AssertionError("the error is " + error + ", without " + text);
    }
    throw new AssertionError("no error " + text);
  }

  static void until(Callable<Boolean> condition) throws Exception {
    long deadline = System.nanoTime() + WAIT_S * 1_000_000_000L;
    while (!condition.call()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("not reached within " + WAIT_S + " s");
      }
      Thread.sleep(10);
    }
  }

  /** Threads that a check leaves behind end with the process. */
  static void runAll() {
    CHECKS.forEach((name, body) -> {
      try {
        body.run();
        System.out.println("passed " + name);
      } catch (Exception | AssertionError | LinkageError error) {
        System.out.println("failed " + name + ": " + error.toString().replace('\n', ' '));
      }
    });
    System.out.println("all checks were made");
    System.exit(0);
  }
}
