package fans

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// ErrSnapshot says that there is no person behind a token: the platform showed a read-only copy of the page to somebody, because consent was asked for without
// need, and gave an invented identity (platform.md 7.4). Nothing is stored. Ask after a tap instead.
var ErrSnapshot = fault.New(fault.Forbidden, "WeChat gave an invented identity, because the page asked for consent without a tap; nothing was stored")

// What the columns hold.
const (
	maxOpenID   = 64
	maxNickname = 191
	maxAvatar   = 512
)

// KeepProfile stores what a person lets the account know of them on a page: nickname, portrait, unionid. in is what wechat.Client.PersonInfo gave for the token.
// A person who does not follow gets a row that is not subscribed. It returns the fan's id. Errors: ErrSnapshot; Invalid when the two are not about the
// same person.
func (s *Store) KeepProfile(ctx context.Context, accountID int64, token wechat.PersonToken, in wechat.Person) (int64, error) {
	switch {
	case token.Snapshot:
		return 0, ErrSnapshot
	case in.OpenID == "" || in.OpenID != token.OpenID:
		return 0, fault.BadField("openid", "mismatch", "the profile is not that of the person whose token it is")
	case fit(in.OpenID, maxOpenID) == "" || strings.HasPrefix(in.OpenID, erasedPrefix):
		return 0, fault.BadField("openid", "shape", "this is no openid")
	}
	var id int64
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		ids, err := s.idsOf(tx, accountID, []string{in.OpenID})
		if err != nil {
			return err
		}
		id = ids[0]
		return storeProfile(tx, accountID, id, in)
	})
	if err != nil {
		return 0, fmt.Errorf("store a profile: %w", err)
	}
	return id, nil
}

// storeProfile replaces nickname and portrait. A unionid that was not told this time stays: it does not depend on the consent alone.
func storeProfile(tx *gorm.DB, accountID, id int64, in wechat.Person) error {
	avatar := in.AvatarURL
	if len(avatar) > maxAvatar {
		avatar = "" // half an address shows nothing
	}
	set, args := "nickname = ?, avatar_url = ?", []any{cut(strings.ToValidUTF8(in.Nickname, ""), maxNickname), strings.ToValidUTF8(avatar, "")}
	if unionID := fit(in.UnionID, maxUnionID); unionID != "" {
		set, args = set+", unionid = ?", append(args, unionID)
	}
	res := tx.Exec("UPDATE fans SET "+set+" WHERE id = ? AND account_id = ? AND openid = ?", append(args, id, accountID, in.OpenID)...)
	if res.Error == nil && res.RowsAffected == 0 {
		return fault.New(fault.Conflict, "the fan was erased at this moment; ask for consent again")
	}
	return res.Error
}

// revokedProfile is what the platform calls nickname and portrait in RevokeInfo (platform.md 2.5).
const revokedProfile = "205"

// otherRevoked are things that a page can be given leave to, and that nobody here keeps: addresses, invoices, cards, the microphone, the place, chosen pictures.
func otherRevoked(info string) bool {
	return slices.Contains([]string{"201", "202", "203", "204", "206", "207"}, info)
}

// RevokesProfile reports whether a person who withdraws the leaves named in info, the RevokeInfo of user_authorization_revoke, takes back their nickname and
// portrait. What is not known counts as that: rather too little is kept than too much.
func RevokesProfile(info string) bool {
	named := strings.FieldsFunc(info, func(r rune) bool { return r < '0' || r > '9' })
	return len(named) == 0 || slices.ContainsFunc(named, func(code string) bool { return code == revokedProfile || !otherRevoked(code) })
}

// ForgetProfiles clears nickname and portrait of the people with these openids: they took them back (user_authorization_revoke), or the platform found something
// wrong with them (user_info_modified). It belongs into the transaction that ends the work on the platform's pushes. When such a push is late, it also
// clears what was given anew after it: the person can be asked again.
func (s *Store) ForgetProfiles(tx *gorm.DB, accountID int64, openids []string) error {
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		if err := tx.Exec("UPDATE fans SET nickname = '', avatar_url = '' WHERE account_id = ? AND openid IN ?", accountID, chunk).Error; err != nil {
			return fmt.Errorf("forget profiles: %w", err)
		}
	}
	return nil
}
