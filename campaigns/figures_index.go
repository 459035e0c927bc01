package campaigns

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// figureIndex knows to which step the messages of drips belong.
type figureIndex struct {
	places   map[int64]messagePlace // by message
	numbers  map[int64]int          // of versions
	byDrip   map[int64][]int64      // versions, oldest first
	versions map[int64]*version
}

// messagePlace is where a message stands.
type messagePlace struct {
	dripID    int64
	number    int // of the version
	stepNo    int
	messageNo int
}

// indexOf reads the versions of drips. What a version says never changes, so that most of them are in memory.
func (s *Store) indexOf(tx *gorm.DB, accountID int64, dripIDs []int64) (*figureIndex, error) {
	x := &figureIndex{places: map[int64]messagePlace{}, numbers: map[int64]int{}, byDrip: map[int64][]int64{}}
	var ids []int64
	for chunk := range slices.Chunk(database.SortedSet(dripIDs), database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id, dripID int64
			var number int
			err := rows.Scan(&id, &dripID, &number)
			ids, x.byDrip[dripID], x.numbers[id] = append(ids, id), append(x.byDrip[dripID], id), number
			return err
		}, "SELECT id, campaign_id, number FROM campaign_versions WHERE campaign_id IN ? AND account_id = ? ORDER BY campaign_id, number", chunk, accountID)
		if err != nil {
			return nil, fmt.Errorf("read the versions of drips: %w", err)
		}
	}
	var err error
	if x.versions, err = s.versionsByID(tx, accountID, ids); err != nil {
		return nil, err
	}
	for dripID, of := range x.byDrip {
		for _, id := range of {
			for i := range x.versions[id].steps {
				for m, messageID := range x.versions[id].steps[i].messageIDs {
					x.places[messageID] = messagePlace{dripID, x.numbers[id], i + 1, m + 1}
				}
			}
		}
	}
	return x, nil
}

// versionOf finds a drip's version by its number; 0 for all. Errors: NotFound.
func (x *figureIndex) versionOf(dripID int64, number int) (int64, error) {
	if len(x.byDrip[dripID]) == 0 {
		return 0, notFound(dripID)
	}
	if number == 0 {
		return 0, nil
	}
	for _, id := range x.byDrip[dripID] {
		if x.numbers[id] == number {
			return id, nil
		}
	}
	return 0, fault.New(fault.NotFound, "drip %d has no version %d", dripID, number)
}

// steps are the steps of a drip's version, or of all its versions, with nothing counted yet.
func (x *figureIndex) steps(dripID, versionID int64) []StepReport {
	var out []StepReport
	for _, id := range x.byDrip[dripID] {
		if versionID != 0 && id != versionID {
			continue
		}
		out = append(out, x.versions[id].stepReports(x.numbers[id])...)
	}
	return out
}

// stepReports are the steps of a version, of this number, with nothing counted yet.
func (v *version) stepReports(number int) []StepReport {
	out := make([]StepReport, 0, len(v.steps))
	for i := range v.steps {
		r := StepReport{Version: number, StepNo: i + 1, Kind: cmp.Or(v.steps[i].kind, StepMessage)}
		if ids := v.steps[i].messageIDs; len(ids) > 1 {
			for m, messageID := range ids {
				r.Messages = append(r.Messages, MessageReport{MessageNo: m + 1, MessageID: messageID})
			}
		}
		for _, url := range v.steps[i].links {
			r.Links = append(r.Links, LinkReport{URL: url})
		}
		out = append(out, r)
	}
	return out
}
