package fans

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Codes of the platform about remarks (platform.md 7.1).
const (
	codeBadRemark   = 40092
	codeNotFollower = 43004
)

// SetRemark sets the account's own note on a fan, of up to 29 characters, on the platform and then here; "" takes it away. Repeating it does no harm. Errors:
// NotFound; Invalid with the field remark (remark_length); Conflict when the fan does not follow; those of the platform.
func (m *Mirror) SetRemark(ctx context.Context, accountID, fanID int64, remark string) error {
	remark = strings.TrimSpace(remark)
	found, err := m.fans.ByIDs(m.fans.db.Read(ctx), accountID, []int64{fanID})
	if err != nil {
		return err
	}
	f := found[fanID]
	if f == nil || f.Erased() {
		return fault.New(fault.NotFound, "this account has no fan %d", fanID)
	}
	err = m.platform.call(ctx, accountID, func(acc wechat.Account) error { return m.platform.Client.SetRemark(ctx, acc, f.OpenID, remark) })
	switch codeOf(err) {
	case codeBadRemark:
		return invalid(err, "remark", "remark_length", "the remark is too long for the platform; take a shorter one, of at most 9 Chinese characters if need be")
	case codeNotFollower:
		return fault.Wrap(fault.Conflict, err, "the fan does not follow the account any more; the platform keeps remarks of followers only")
	}
	if err != nil {
		return err
	}
	err = m.fans.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE fans SET remark = ? WHERE id = ? AND account_id = ? AND openid = ?", remark, fanID, accountID, f.OpenID)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.NotFound, "the fan was erased at this moment")
		}
		return res.Error
	})
	if err != nil {
		return fmt.Errorf("store a remark: %w", err)
	}
	return nil
}
