package guard

import (
	_ "gorm.io/gorm"

	_ "hongyan/internal/clock"
	_ "hongyan/wechat"
)
