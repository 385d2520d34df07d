package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
)

// Blocks take the place of an index for each filter of a list: every delivery would pay
// for these indexes. A block describes a run of rows: when they were received, and a Bloom
// filter of the values by which rows are listed, which never change. Lists and pruning read
// the blocks, and leave out the rows of the blocks that do not fit. Blocks are written in
// the background, after the rows; rows without a block are always read.

// blockTable is a table with blocks.
type blockTable struct {
	table   string
	only    string   // the condition of the rows that have blocks
	columns []string // whose values are in the filter
	commits []string // whose first characters are: of each, commitKey
}

var (
	buildBlocks = blockTable{
		"builds", "seq > 0", []string{"rule", "target", "job_id", "repository", "ref"}, []string{"commit_id", "tag_commit"},
	}
	// The ignored log has no blocks: it has few rows, and most are deleted soon.
	deliveryBlocks = blockTable{"deliveries", "outcome = 'accepted'", []string{"source", "repository", "ref"}, []string{"commit_id"}}
)

// MinCommit is how many characters of a commit's id a list needs at least: that many are in the
// filters of blocks.
const MinCommit = 7

// commitKey stands for the commits that begin with the same MinCommit characters.
func commitKey(id string) uint64 { return valueKey("commit", id[:min(len(id), MinCommit)]) }

const (
	blockRows     = 256  // rows of a block
	blockLong     = 4096 // seqs after which a block ends with fewer rows: the others are of the ignored log
	blockParts    = 8    // parts of a block that its filter tells apart
	blocksAtOnce  = 16   // written in one transaction
	blockInterval = time.Second
)

// span is a run of rows by their seqs, both ends included.
type span struct{ first, last int64 }

// block describes the rows of a span.
type block struct {
	span
	earliest, latest int64 // received_at
	emptied          bool  // of deliveries: no body is left
	filter           bloom
}

// part gives the seqs of a part.
func (b *block) part(n int64) span {
	return span{b.first + n*b.length(), min(b.first+(n+1)*b.length()-1, b.last)}
}

// length is how many seqs a part has; the last parts may have fewer.
func (b *block) length() int64 { return (b.last - b.first + blockParts) / blockParts }

// valueKey stands for a value of a column, partKey for a value in one part of a block.
func valueKey(column, value string) uint64 { return uint64(lockKey(column, value)) } //nolint:gosec // all 64 bits

func partKey(key uint64, part int64) uint64 {
	key += uint64(part+1) * 0x9e3779b97f4a7c15 //nolint:gosec // small
	key = (key ^ key>>30) * 0xbf58476d1ce4e5b9 // the end of SplitMix64: each bit changes half of all bits
	key = (key ^ key>>27) * 0x94d049bb133111eb
	return key ^ key>>31
}

// spans calls do with the spans up to a seq that may have rows which fit, the newest first, some
// at a time, until do returns false: the parts of blocks that fit, and rows without a block.
// Spans with at most gap seqs between them are one: reading these costs less than another
// statement. values says whether fit needs the filter. The first block whose rows were all received
// before oldest is the last that is looked at.
func (s *Store) spans(ctx context.Context, t blockTable, high, gap, oldest int64, values bool,
	fit func(b *block, part int64) bool, do func([]span) (more bool, err error),
) error {
	var kept []*block
	most := 512
	if values {
		var err error
		if kept, err = s.keptBlocks(ctx, t); err != nil {
			return err
		}
		most = max(most, len(kept))
	}
	for n := 8; ; n = min(4*n, most) { // few at first: the newest rows may be enough
		blocks, end := upTo(kept, high, n), false
		if len(blocks) == 0 {
			var err error
			if blocks, err = s.blocks(ctx, t, span{0, high}, n, values); err != nil {
				return err
			}
			end = len(blocks) < n
		}
		var found []span
		add := func(next span) {
			switch last := len(found) - 1; {
			case next.first > next.last:
			case last >= 0 && found[last].first-next.last <= gap+1:
				found[last].first = next.first
			default:
				found = append(found, next)
			}
		}
		for _, b := range blocks {
			if b.last > high {
				continue // written by another replica at the same time: a later block has its rows
			}
			add(span{b.last + 1, high})
			for n := int64(blockParts - 1); n >= 0; n-- {
				if fit(b, n) {
					add(b.part(n))
				}
			}
			high = b.first - 1
			if b.latest < oldest {
				high, end = -1, true // the span up to high is empty
				break
			}
		}
		if end {
			add(span{0, high})
		}
		if more, err := do(found); err != nil || !more || end {
			return err
		}
	}
}

// blocks reads up to n blocks that end in a span, the newest first.
func (s *Store) blocks(ctx context.Context, t blockTable, ends span, n int, values bool) (blocks []*block, err error) {
	emptied, filter := "false", "NULL"
	if t.table == "deliveries" {
		emptied = "emptied"
	}
	if values {
		filter = "filter"
	}
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var b block
		blocks = append(blocks, &b)
		return row.Scan(&b.last, &b.first, &b.earliest, &b.latest, (*flag)(&b.emptied), (*[]byte)(&b.filter))
	}, `SELECT last_seq, first_seq, earliest, latest, `+emptied+`, `+filter+` FROM `+t.table+`_blocks
		WHERE last_seq BETWEEN ? AND ? ORDER BY last_seq DESC LIMIT ?`, ends.first, ends.last, n)
	return blocks, err
}

// blockWriter writes the blocks of a table.
type blockWriter struct {
	blockTable
	complete int64 // up to here every row is committed that ever will be
	looked   int64 // up to here there were too few rows for another block

	// What moves complete on, see advance.
	before int64 // the last seq, a look ago
	mark   int64 // the last seq, a look before xmax was read
	xmax   int64
}

func (s *Store) blockLoop() {
	ticker := time.NewTicker(blockInterval)
	defer ticker.Stop()
	for tables := []*blockWriter{{blockTable: buildBlocks}, {blockTable: deliveryBlocks}}; ; {
		select {
		case <-ticker.C:
		case <-s.life.Done():
			return
		}
		for _, c := range tables {
			err := s.writeBlocks(s.life, c)
			if err == nil {
				err = s.keepBlocks(s.life, c.blockTable, blockMemory)
			}
			if err != nil && s.life.Err() == nil {
				s.log.LogAttrs(s.life, slog.LevelDebug, "blocks were not written or read: lists become slower",
					slog.String("table", c.table), slog.String("error", err.Error()))
			}
		}
	}
}

// writeBlocks writes the blocks of the rows that have none.
func (s *Store) writeBlocks(ctx context.Context, c *blockWriter) error {
	var newest, xmin, xmax int64
	if err := queryRow(ctx, s.db.reader(), `SELECT coalesce(max(seq), 0), `+s.db.dialect().transactions+` FROM `+c.table).
		Scan(&newest, &xmin, &xmax); err != nil {
		return err
	}
	c.advance(newest, xmin, xmax)
	for began := time.Now(); ; {
		last, more, err := s.writeNextBlocks(ctx, c)
		if err != nil || !more {
			return err
		}
		if time.Since(began) > 5*time.Second {
			s.log.LogAttrs(ctx, slog.LevelInfo, "lists are slow until their blocks are written",
				slog.String("table", c.table), slog.Int64("rows_left", c.complete-last))
			began = time.Now()
		}
	}
}

// writeNextBlocks writes some blocks, and returns where they end and whether there may be
// more. Meanwhile no rows are pruned: SQLite gives the seqs of the last rows a second time
// when they are deleted.
func (s *Store) writeNextBlocks(ctx context.Context, c *blockWriter) (last int64, more bool, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	var newest int64
	if err := queryRow(ctx, s.db.reader(), `SELECT coalesce((SELECT max(last_seq) FROM `+c.table+`_blocks), 0), coalesce(max(seq), 0)
		FROM `+c.table).
		Scan(&last, &newest); err != nil {
		return 0, false, err
	}
	complete := min(c.complete, newest)
	if c.looked = min(c.looked, complete); complete-max(last, c.looked) < blockRows {
		return last, false, nil
	}
	var made []*block
	for len(made) < blocksAtOnce {
		b, err := s.readBlock(ctx, c.blockTable, last+1, complete)
		if err != nil {
			return 0, false, err
		}
		if b == nil {
			c.looked = complete
			break
		}
		made, last = append(made, b), b.last
	}
	if len(made) == 0 {
		return last, false, nil
	}
	err = s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		for _, b := range made {
			if _, err := tx.exec(ctx, `INSERT INTO `+c.table+`_blocks (last_seq, first_seq, earliest, latest, filter) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO NOTHING`, b.last, b.first, b.earliest, b.latest, []byte(b.filter)); err != nil {
				return fmt.Errorf("blocks of %s: %w", c.table, err)
			}
		}
		return nil
	})
	return last, len(made) == blocksAtOnce, err
}

// advance moves complete on. PostgreSQL gives a seq before the commit, so that a lower seq
// may be committed after a higher one: but not after the end of all transactions that ran
// when the higher one was seen. A transaction may get its own number a moment after its
// first seq: so the numbers are those of one look later.
func (c *blockWriter) advance(newest, xmin, xmax int64) {
	if xmin >= c.xmax {
		c.complete, c.mark, c.xmax = c.mark, c.before, xmax
	}
	c.before = newest
}

// readBlock makes the block that begins at a seq, or nil if there are too few rows.
func (s *Store) readBlock(ctx context.Context, t blockTable, first, complete int64) (*block, error) {
	var (
		b      = &block{span: span{first, first}, earliest: math.MaxInt64, latest: math.MinInt64}
		seqs   []int64
		ends   []int // of each row: how many keys there are up to it
		keys   []uint64
		values = make([]string, len(t.columns)+len(t.commits))
		at     int64
		into   = []any{&b.last, &at}
	)
	for i := range values {
		into = append(into, &values[i])
	}
	err := each(ctx, s.db.reader(), func(row scanner) error {
		if err := row.Scan(into...); err != nil {
			return err
		}
		b.earliest, b.latest = min(b.earliest, at), max(b.latest, at)
		seqs = append(seqs, b.last)
		for i, column := range t.columns {
			keys = append(keys, valueKey(column, values[i]))
		}
		for _, id := range values[len(t.columns):] {
			if id != "" {
				keys = append(keys, commitKey(id))
			}
		}
		ends = append(ends, len(keys))
		return nil
	}, `SELECT seq, received_at, `+strings.Join(slices.Concat(t.columns, t.commits), ", ")+` FROM `+t.table+`
		WHERE seq BETWEEN ? AND ? AND `+t.only+` ORDER BY seq LIMIT ?`, first, complete, blockRows)
	if err != nil {
		return nil, err
	}
	if len(seqs) < blockRows {
		if complete-first < blockLong {
			return nil, nil //nolint:nilnil // too few rows
		}
		b.last = complete
	}
	for i, from := 0, 0; i < len(seqs); from, i = ends[i], i+1 {
		for k := from; k < ends[i]; k++ {
			keys[k] = partKey(keys[k], (seqs[i]-first)/b.length())
		}
	}
	slices.Sort(keys)
	b.filter = newBloom(slices.Compact(keys))
	return b, nil
}
