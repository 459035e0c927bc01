package jobs

import (
	_ "hongyan/fans"
	_ "hongyan/internal/clock"
)
