import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.util.*;
import org.apache.flink.cep.nfa.sharedbuffer.SharedBuffer;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.cep.nfa.*;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.nfa.compiler.NFACompiler;
import org.apache.flink.cep.nfa.sharedbuffer.*;
import org.apache.flink.cep.configuration.SharedBufferCacheConfig;
import org.apache.flink.cep.pattern.*;
import org.apache.flink.cep.pattern.conditions.*;
import org.apache.flink.streaming.api.windowing.time.Time;

/** Match asks the matcher of Flink CEP: see README.md. */
public class Match {
  static class MS<K, V> implements MapState<K, V> {
    final HashMap<K, V> m = new HashMap<>();
    public V get(K k) { return m.get(k); }
    public void put(K k, V v) { m.put(k, v); }
    public void putAll(Map<K, V> x) { m.putAll(x); }
    public void remove(K k) { m.remove(k); }
    public boolean contains(K k) { return m.containsKey(k); }
    public Iterable<Map.Entry<K, V>> entries() { return m.entrySet(); }
    public Iterable<K> keys() { return m.keySet(); }
    public Iterable<V> values() { return m.values(); }
    public Iterator<Map.Entry<K, V>> iterator() { return m.entrySet().iterator(); }
    public boolean isEmpty() { return m.isEmpty(); }
    public void clear() { m.clear(); }
  }
  static KeyedStateStore store() {
    return (KeyedStateStore) java.lang.reflect.Proxy.newProxyInstance(Match.class.getClassLoader(), new Class[] {KeyedStateStore.class},
        (p, m, a) -> {
          if (m.getName().equals("getMapState")) return new MS<>();
          throw new UnsupportedOperationException(m.getName());
        });
  }
  static IterativeCondition<String> cond(String letters) {
    return SimpleCondition.of(s -> letters.indexOf(s.charAt(0)) >= 0);
  }
  static Pattern<String, ?> build(JsonNode steps, AfterMatchSkipStrategy skip) {
    Pattern<String, ?> p = null;
    for (JsonNode s : steps) {
      boolean group = s.has("group") && s.get("group").size() > 0;
      Pattern<String, ?> g = group ? build(s.get("group"), skip) : null;
      String name = s.get("name").asText(), enter = s.path("enter").asText(""), not = s.path("not").asText("");
      if (p == null) {
        p = group ? Pattern.begin((Pattern) g, skip) : Pattern.<String>begin(name, skip);
      } else if (not.equals("next")) p = p.notNext(name);
      else if (not.equals("followedBy")) p = p.notFollowedBy(name);
      else if (group) p = enter.equals("strict") ? p.next((Pattern) g) : enter.equals("any") ? p.followedByAny((Pattern) g) : p.followedBy((Pattern) g);
      else p = enter.equals("strict") ? p.next(name) : enter.equals("any") ? p.followedByAny(name) : p.followedBy(name);
      if (!group) p = ((Pattern) p).where(cond(s.get("letters").asText()));
      int min = s.path("min").asInt(1), max = s.path("max").asInt(1);
      if (max < 0) p = min == 1 ? p.oneOrMore() : p.timesOrMore(min);
      else if (max > 1) p = min == max ? p.times(min) : p.times(min, max);
      if (s.path("optional").asBoolean()) p = p.optional();
      if (s.path("consecutive").asBoolean()) p = p.consecutive();
      if (s.path("combinations").asBoolean()) p = p.allowCombinations();
      if (s.path("greedy").asBoolean()) p = p.greedy();
      if (!s.path("until").asText("").isEmpty()) p = ((Pattern) p).until(cond(s.get("until").asText()));
    }
    return p;
  }
  public static void main(String[] args) throws Exception {
    ObjectMapper om = new ObjectMapper();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    PrintStream out = new PrintStream(new BufferedOutputStream(System.out), false);
    for (String line; (line = in.readLine()) != null; ) {
      ObjectNode n = (ObjectNode) om.readTree(line);
      n.remove("matches");
      ObjectNode res = n.deepCopy();
      try {
        AfterMatchSkipStrategy skip = switch (n.path("skip").asText()) {
          case "past" -> AfterMatchSkipStrategy.skipPastLastEvent();
          case "next" -> AfterMatchSkipStrategy.skipToNext();
          default -> AfterMatchSkipStrategy.noSkip();
        };
        Pattern<String, ?> p = build(n.get("steps"), skip);
        if (n.path("within").asInt() > 0) p = p.within(Time.seconds(n.get("within").asInt()));
        NFA<String> nfa = NFACompiler.<String>compileFactory((Pattern) p, false).createNFA();
        NFAState state = nfa.createInitialNFAState();
        SharedBuffer<String> buf = new SharedBuffer<>(store(), StringSerializer.INSTANCE, new SharedBufferCacheConfig());
        ArrayNode all = res.putArray("matches");
        long t = 0;
        for (JsonNode e : n.get("stream")) {
          try (SharedBufferAccessor<String> acc = buf.getAccessor()) {
            Collection<Map<String, List<String>>> got = new ArrayList<>();
            got.addAll(nfa.advanceTime(acc, state, t, skip).f0);
            if (!e.asText().equals("-"))
              got.addAll(nfa.process(acc, state, e.asText(), t, skip, () -> 0L));
            for (Map<String, List<String>> m : got) {
              ObjectNode o = all.addObject();
              for (Map.Entry<String, List<String>> x : new TreeMap<>(m).entrySet()) {
                ArrayNode l = o.putArray(x.getKey());
                x.getValue().forEach(l::add);
              }
            }
          }
          t += 1000;
        }
      } catch (Throwable e) {
        res.remove("matches");
        res.put("error", e.toString());
      }
      out.println(om.writeValueAsString(res));
    }
    out.flush(); System.exit(0);
  }
}
