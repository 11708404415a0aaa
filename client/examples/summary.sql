SELECT
-- What was measured
       count(*) AS measurements, count(DISTINCT input_id) AS files, count(DISTINCT codec || level) AS contestants,
       round(sum(size) / 1e6, 1) AS megabytes_compressed, sum(ok) AS round_trips_right, count(error) AS errors
FROM predictions
WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1)

SELECT
-- Where the measurements came from
       CASE WHEN cache <> '' THEN 'the cache: run ' || cache ELSE 'computed by this run' END AS measurements, count(*) AS calls,
       round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent, round(sum(function_time), 1) AS seconds
FROM predictions
WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1) AND cache IS NOT NULL
GROUP BY measurements
ORDER BY calls DESC

SELECT
-- The tightest on each kind of file
       kind, files, codec, level, round(max(ratio), 2) AS ratio,
       round(mb_s, 1) AS compress_mb_s
FROM (SELECT kind, codec, level, count(*) AS files, sum(size) * 1.0 / sum(compressed_size) AS ratio,
             sum(size) / sum(size / compress_mb_s) AS mb_s
      FROM predictions
      WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1) AND error IS NULL
      GROUP BY kind, codec, level)
GROUP BY kind
ORDER BY ratio DESC

SELECT
-- Ratio on each kind of file, tightest first
       codec, level,
       round(sum(size) FILTER (WHERE kind = 'text') * 1.0
             / sum(compressed_size) FILTER (WHERE kind = 'text'), 2) AS text,
       round(sum(size) FILTER (WHERE kind = 'source') * 1.0
             / sum(compressed_size) FILTER (WHERE kind = 'source'), 2) AS source,
       round(sum(size) FILTER (WHERE kind = 'library') * 1.0
             / sum(compressed_size) FILTER (WHERE kind = 'library'), 2) AS library,
       round(sum(size) FILTER (WHERE kind = 'compressed') * 1.0
             / sum(compressed_size) FILTER (WHERE kind = 'compressed'), 2) AS compressed
FROM predictions
WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1) AND error IS NULL
GROUP BY codec, level
ORDER BY sum(size) * 1.0 / sum(compressed_size) DESC

SELECT
-- Speed against ratio: is there one that is both faster and tighter?
       codec, level, round(ratio, 2) AS ratio, round(compress_mb_s, 1) AS compress_mb_s,
       round(decompress_mb_s, 1) AS decompress_mb_s,
       CASE WHEN EXISTS (SELECT 1 FROM metrics AS other
                         WHERE other.track_id = metrics.track_id AND other.ratio >= metrics.ratio
                           AND other.compress_mb_s > metrics.compress_mb_s)
            THEN 'yes' ELSE 'no' END AS beaten
FROM metrics
WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1)
ORDER BY compress_mb_s DESC

SELECT
-- What went wrong
       coalesce(error, 'nothing') AS error, count(*) AS measurements, count(DISTINCT input_id) AS files,
       min(file) FILTER (WHERE error IS NOT NULL) AS "for example"
FROM predictions
WHERE track_id = (SELECT track_id FROM metrics ORDER BY timestamp DESC LIMIT 1)
GROUP BY predictions.error
ORDER BY predictions.error IS NULL, measurements DESC
LIMIT 20
