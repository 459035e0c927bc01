package fans

import (
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// LatestActs says when a fan last did something, unix ms, 0 for not at all.
type LatestActs struct {
	Message int64 // sent a message; a location is left out, which is recorded like the report of one
	Menu    int64 // tapped an item of the custom menu, or a tracked link in a message
}

// messageActs are the kinds of interaction that are messages, and menuActs those that are taps: on the menu, and on tracked links.
func messageActs() []string {
	return []string{"text", "image", "voice", "video", "shortvideo", "link", "file"}
}

func menuActs() []string {
	return []string{
		"click", "view", "view_miniprogram", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select",
		KindLinkTap,
	}
}

// LatestActs reads when fans last wrote and tapped, behind a moment. Fans who did neither are missing from the result.
func (s *Store) LatestActs(tx *gorm.DB, accountID int64, fanIDs []int64, since int64) (map[int64]LatestActs, error) {
	out, messages := map[int64]LatestActs{}, messageActs()
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan, at int64
			var kind string
			if err := rows.Scan(&fan, &kind, &at); err != nil {
				return err
			}
			latest := out[fan]
			if slices.Contains(messages, kind) {
				latest.Message = max(latest.Message, at)
			} else {
				latest.Menu = max(latest.Menu, at)
			}
			out[fan] = latest
			return nil
		}, "SELECT fan_id, kind, MAX(event_at) FROM interactions WHERE fan_id IN ? AND event_at > ? AND +account_id = ? AND kind IN ? GROUP BY fan_id, kind",
			chunk, since, accountID, slices.Concat(messages, menuActs()))
		if err != nil {
			return nil, fmt.Errorf("read fans' latest acts: %w", err)
		}
	}
	return out, nil
}
