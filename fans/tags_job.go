package fans

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// TagKind is the kind of the job that gives a tag to many fans, or takes it from them. Its parameters are a TagJob. Its result lists who was refused, by the
// fans' ids.
const TagKind = "fans.tag"

// TagJob are the parameters of TagKind. Exactly one of FanIDs, WithTag and All says who.
type TagJob struct {
	TagID   int64   `json:"tag_id"`
	Remove  bool    `json:"remove,omitempty"`
	FanIDs  []int64 `json:"fan_ids,omitempty"`  // at most MaxTagJob
	WithTag int64   `json:"with_tag,omitempty"` // everybody who has this tag
	All     bool    `json:"all,omitempty"`      // everybody who follows
}

// MaxTagJob is how many fans a TagJob names at most.
const MaxTagJob = 1_000_000

// tagStep is how many fans are tagged between two records of progress: four calls.
const tagStep = 200

// NewTagJob makes the job, with the ids sorted, for jobs.Store.Create. Errors: Invalid with the field tag_id or fans.
func NewTagJob(accountID int64, in TagJob) (*jobs.Job, error) {
	in.FanIDs = database.SortedSet(in.FanIDs)
	if err := in.validate(); err != nil {
		return nil, err
	}
	params, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("store a job: %w", err)
	}
	return &jobs.Job{AccountID: accountID, Kind: TagKind, Params: params}, nil
}

func (j *TagJob) validate() error {
	named := 0
	for _, is := range []bool{len(j.FanIDs) > 0, j.WithTag != 0, j.All} {
		if is {
			named++
		}
	}
	switch {
	case j.TagID <= 0:
		return fault.BadField("tag_id", "required", "name the tag")
	case named != 1:
		return fault.BadField("fans", "one_of", "say who: either fan_ids, or with_tag, or all")
	case len(j.FanIDs) > MaxTagJob:
		return fault.BadField("fan_ids", "count", "name at most %d fans, or a tag that they have", MaxTagJob)
	}
	return nil
}

// Tag is the runner of TagKind. Its cursor is the id of the last fan who is done. A step that was cut short is repeated, which does no harm.
func (m *Mirror) Tag(ctx context.Context, r *jobs.Run) error {
	var in TagJob
	if err := json.Unmarshal(r.Params, &in); err != nil {
		return fault.Wrap(fault.Invalid, err, "the job's parameters cannot be read")
	}
	if err := in.validate(); err != nil {
		return err
	}
	for {
		tag, err := m.fans.FindTag(ctx, r.AccountID, in.TagID)
		if err != nil {
			return err
		}
		ids, total, err := m.nextToTag(ctx, r, &in)
		if err != nil || len(ids) == 0 {
			return err
		}
		change := tagChange{tagID: in.TagID, remove: in.Remove}
		there, failed := m.tagThere(ctx, tag, change, ids)
		if there.settled > 0 {
			if err := m.recordTagged(ctx, r, change, tagged{there, ids[there.settled-1], total}); err != nil {
				return err
			}
		}
		if failed != nil {
			return m.platform.postponed(failed)
		}
	}
}

// nextToTag are the next fans, and how many there are in all if that is to be recorded.
func (m *Mirror) nextToTag(ctx context.Context, r *jobs.Run, in *TagJob) (ids []int64, total int64, err error) {
	var after int64
	if r.Cursor != "" {
		if after, err = strconv.ParseInt(r.Cursor, 10, 64); err != nil {
			return nil, 0, fault.Wrap(fault.Invalid, err, "the job's cursor cannot be read; start a new one")
		}
	}
	switch {
	case in.WithTag != 0:
		if r.Cursor == "" {
			tag, err := m.fans.FindTag(ctx, r.AccountID, in.WithTag)
			if err != nil {
				return nil, 0, err
			}
			total = tag.Fans
		}
		ids, err = m.fans.FansWithTag(ctx, r.AccountID, in.WithTag, after, tagStep)
	case in.All:
		if r.Cursor == "" {
			if total, err = m.fans.CountSubscribed(ctx, r.AccountID); err != nil {
				return nil, 0, err
			}
		}
		ids, err = m.fans.idsAfter(m.fans.db.Read(ctx), r.AccountID, after, tagStep)
	default:
		at, found := slices.BinarySearch(in.FanIDs, after)
		if found {
			at++
		}
		ids, total = in.FanIDs[at:min(at+tagStep, len(in.FanIDs))], int64(len(in.FanIDs))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list the fans to tag: %w", err)
	}
	return ids, total, nil
}

// tagged is a step of the job.
type tagged struct {
	taggedThere
	last  int64 // the last fan of the step
	total int64 // 0: known already
}

func (m *Mirror) recordTagged(ctx context.Context, r *jobs.Run, change tagChange, step tagged) error {
	var file resultFile
	if r.Cursor == "" {
		file.line("fan_id", "errcode", "reason_zh", "reason_en")
	}
	for _, f := range step.refused {
		file.line(strconv.FormatInt(f.FanID, 10), strconv.Itoa(f.Code), f.Reason.ZH, f.Reason.EN)
	}
	part, err := file.part()
	if err != nil {
		return err
	}
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		return jobs.Progress{
			Cursor: strconv.FormatInt(step.last, 10), Done: int64(step.settled), Failed: int64(len(step.refused)), Total: step.total, Result: part,
		}, m.fans.tagHere(tx, r.AccountID, change, step.done)
	})
}
